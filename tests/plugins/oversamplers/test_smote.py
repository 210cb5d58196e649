from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from fdmo_core import LabelledFeatures
from fdmo_core.randomness import rng_for
from fdmo_core.testing.toys import STREAM_DIMS, toy_dictionary
from fdmo_plugins.oversamplers.smote import Smote, SmoteConfig

SIZES = (20, 9, 3)


def smote(real: LabelledFeatures, **options: Any) -> Smote:
    generator = Smote(
        SmoteConfig(**options), num_classes=3, stream_dims=STREAM_DIMS, samples_per_class=5
    )
    generator.fit(real, nn.Identity())
    return generator


def used_rows(generator: Smote, label: int, count: int) -> Tensor:
    labels = torch.full((count,), label)
    drawn = toy_dictionary(SIZES).draw(labels, samples_per_class=5, rng=rng_for(0))
    rows: Tensor = generator(labels, drawn, rng_for(1)).rows
    return rows


@pytest.mark.parametrize("neighbors", [1, 3, 8, 50])
def test_the_second_row_is_one_of_the_k_nearest_of_the_class(neighbors: int) -> None:
    real = toy_dictionary(SIZES).store

    rows = used_rows(smote(real, neighbors=neighbors), 1, 3000)

    pairs = {tuple(pair) for pair in rows.tolist()}
    own = torch.nonzero(real.labels == 1).flatten().tolist()
    expected = set()
    for row in own:
        others = [(float((real.features[one] - real.features[row]).norm()), one) for one in own]
        expected |= {(row, one) for _, one in sorted(others)[1 : neighbors + 1]}
    assert pairs == expected


def test_rows_are_drawn_with_equal_chances() -> None:
    rows = used_rows(smote(toy_dictionary(SIZES).store), 1, 18_000)

    counts = rows[:, 0].bincount()[20:29].tolist()
    assert counts == pytest.approx([2000] * 9, abs=5 * 2000**0.5)  # 5 deviations


def test_neighbours_are_those_of_the_joined_feature() -> None:
    features = torch.zeros(3, sum(STREAM_DIMS))
    features[1, 0] = 2.0  # near in the second stream
    features[2, -1] = 1.0  # near in the first stream, and nearer over all
    real = LabelledFeatures(features, torch.tensor([1, 1, 1]))

    rows = used_rows(smote(real, neighbors=1), 1, 100)

    assert {tuple(pair) for pair in rows.tolist()} == {(0, 2), (1, 0), (2, 0)}


def test_a_neighbour_at_least_is_needed() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        SmoteConfig(neighbors=0)
