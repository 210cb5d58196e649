import pytest
import torch
from torch import Tensor, nn

from fdmo_core import LabelledFeatures
from fdmo_core.randomness import rng_for
from fdmo_core.testing.toys import STREAM_DIMS, toy_dictionary
from fdmo_plugins.oversamplers.borderline_smote import (
    BorderlineSmote,
    BorderlineSmoteConfig,
    lots_of_danger,
)

DRAWN = toy_dictionary((20, 9, 3)).draw(torch.tensor([1]), samples_per_class=5, rng=rng_for(0))


def on_a_line(places: list[float], labels: list[int]) -> LabelledFeatures:
    features = torch.zeros(len(places), sum(STREAM_DIMS))
    features[:, 2] = torch.tensor(places)
    return LabelledFeatures(features, torch.tensor(labels))


def drawn_rows(real: LabelledFeatures, *, neighbors_of_all: int) -> set[int]:
    generator = BorderlineSmote(
        BorderlineSmoteConfig(neighbors=2, neighbors_of_all=neighbors_of_all),
        num_classes=3,
        stream_dims=STREAM_DIMS,
        samples_per_class=5,
    )
    generator.fit(real, nn.Identity())
    rows: Tensor = generator(torch.ones(500).long(), DRAWN, rng_for(1)).rows
    return set(rows[:, 0].tolist())


@pytest.mark.parametrize("neighbors", [1, 4, 5])
def test_in_danger_is_who_has_at_least_half_but_not_all_neighbours_in_other_classes(
    neighbors: int,
) -> None:
    counts = range(neighbors + 1)
    is_foreign = torch.tensor([[place < count for place in range(neighbors)] for count in counts])

    lots = lots_of_danger(is_foreign).tolist()

    in_danger = [int(neighbors / 2 <= count < neighbors) for count in counts]
    assert lots == (in_danger if any(in_danger) else [1] * (neighbors + 1))


def test_artificial_features_start_from_the_border() -> None:
    real = on_a_line([0, 1, 2, 3, 4.4, 3.9, 4.8, 5.7, 9], [1, 1, 1, 1, 1, 0, 2, 0, 2])

    # Of four neighbours, row 2 has one of another class, row 3 has two and row 4 has three.
    assert drawn_rows(real, neighbors_of_all=4) == {3, 4}


def test_noise_amid_other_classes_is_left_out() -> None:
    real = on_a_line([0, 1, 2, 2.5, 20, 20.1, 19.9, 3.1], [1, 1, 1, 0, 1, 0, 2, 1])

    # Row 4 has only others near it. Rows 2 and 7 have row 3, and one of their class.
    assert drawn_rows(real, neighbors_of_all=2) == {2, 7}


def test_a_class_without_a_row_in_danger_uses_all_its_rows() -> None:
    real = on_a_line([0, 1, 2, 3, 50, 51, 52, 53], [1] * 4 + [0] * 4)

    assert drawn_rows(real, neighbors_of_all=3) == {0, 1, 2, 3}


def test_with_fewer_rows_than_neighbours_all_others_count() -> None:
    real = on_a_line([0, 1, 2], [1, 1, 0])

    assert drawn_rows(real, neighbors_of_all=10) == {0, 1}  # 1 of 2 others, which is half
