import pytest
import torch
from torch import Tensor, nn

from fdmo_core import LabelledFeatures
from fdmo_core.randomness import rng_for
from fdmo_core.testing.toys import STREAM_DIMS, toy_dictionary
from fdmo_plugins.oversamplers.adasyn import Adasyn, AdasynConfig, lots_of_difficulty

SIZES = (20, 9, 3)


def near() -> LabelledFeatures:
    """Return classes that overlap."""
    features, labels = toy_dictionary(SIZES).store
    return LabelledFeatures(features - 2.5 * labels.unsqueeze(1), labels)


def drawn_rows(real: LabelledFeatures, count: int, *, neighbors_of_all: int) -> Tensor:
    generator = Adasyn(
        AdasynConfig(neighbors_of_all=neighbors_of_all),
        num_classes=3,
        stream_dims=STREAM_DIMS,
        samples_per_class=5,
    )
    generator.fit(real, nn.Identity())
    labels = torch.ones(count).long()
    drawn = toy_dictionary(SIZES).draw(labels, samples_per_class=5, rng=rng_for(0))
    rows: Tensor = generator(labels, drawn, rng_for(1)).rows
    return rows


def test_a_row_has_a_lot_for_each_neighbour_of_another_class() -> None:
    is_foreign = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1]]).bool()

    assert lots_of_difficulty(is_foreign).tolist() == [2, 0, 3]


def test_a_class_that_no_other_comes_near_has_equal_chances() -> None:
    assert lots_of_difficulty(torch.zeros(4, 3).bool()).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("neighbors_of_all", [3, 10, 100])
def test_rows_are_drawn_in_proportion_to_their_share_of_foreign_neighbours(
    neighbors_of_all: int,
) -> None:
    features, labels = near()

    rows = drawn_rows(near(), 20_000, neighbors_of_all=neighbors_of_all)

    ratios = {}  # r_i of He et al.
    for row in range(20, 29):
        distances = (features.double() - features[row].double()).norm(dim=1)
        nearest = [one for one in distances.argsort().tolist() if one != row][:neighbors_of_all]
        ratios[row] = sum(int(labels[one]) != 1 for one in nearest) / len(nearest)
    assert len(set(ratios.values())) > 1 or neighbors_of_all == 100
    counts = rows[:, 0].bincount(minlength=32).tolist()
    assert sum(counts[20:29]) == 20_000
    for row, ratio in ratios.items():
        expected = 20_000 * ratio / sum(ratios.values())
        assert counts[row] == pytest.approx(expected, abs=5 * expected**0.5)  # 5 deviations


def test_the_neighbour_that_is_mixed_in_is_of_the_class() -> None:
    rows = drawn_rows(near(), 500, neighbors_of_all=10)

    assert set(near().labels[rows].flatten().tolist()) == {1}
