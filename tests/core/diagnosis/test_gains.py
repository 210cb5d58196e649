"""Paired gains, against a bootstrap that draws row by row."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from fdmo_core.diagnosis.gains import measure_gain

LABELS = torch.arange(3).repeat_interleave(torch.tensor([40, 20, 10]))


def predictions(seed: int, right: float) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    hit = torch.rand(len(LABELS), generator=rng) < right
    return torch.where(hit, LABELS, (LABELS + 1) % 3)


def recalls(predicted: Tensor, labels: Tensor) -> list[float]:
    return [(predicted[labels == one] == one).double().mean().item() for one in range(3)]


def test_the_gain_is_the_difference_of_the_averages() -> None:
    before, after = predictions(0, 0.5), predictions(1, 0.9)

    found = measure_gain(before, after, LABELS, rng=np.random.default_rng(0))

    first, second = recalls(before, LABELS), recalls(after, LABELS)
    assert found.acsa == pytest.approx(sum(second) / 3 - sum(first) / 3)
    means = [math.prod(one) ** (1 / 3) for one in (first, second)]
    assert found.geometric_mean == pytest.approx(means[1] - means[0])


def test_the_interval_is_that_of_rows_drawn_within_their_class() -> None:
    before, after = predictions(0, 0.5), predictions(1, 0.8)
    rng = torch.Generator().manual_seed(0)
    drawn = []
    for _ in range(4000):
        rows = torch.cat(
            [
                own[torch.randint(len(own), (len(own),), generator=rng)]
                for own in torch.arange(70).split([40, 20, 10])
            ]
        )
        first, second = (recalls(one[rows], LABELS[rows]) for one in (before, after))
        drawn.append(sum(second) / 3 - sum(first) / 3)

    found = measure_gain(before, after, LABELS, rng=np.random.default_rng(0))

    expected = np.quantile(drawn, [0.025, 0.975])
    assert found.acsa_interval == pytest.approx(tuple(expected), abs=0.02)  # of Monte Carlo
    assert found.acsa_interval[0] < found.acsa < found.acsa_interval[1]


def test_equal_predictions_gain_exactly_nothing() -> None:
    before = predictions(0, 0.5)

    found = measure_gain(before, before, LABELS, rng=np.random.default_rng(0))

    assert (found.acsa, found.acsa_interval) == (0, (0, 0))
    assert (found.geometric_mean, found.geometric_mean_interval) == (0, (0, 0))


def test_a_class_without_rows_is_left_out() -> None:
    labels = torch.tensor([0, 0, 2, 2])

    found = measure_gain(torch.tensor([0, 1, 2, 1]), labels, labels, rng=np.random.default_rng(0))

    assert found.acsa == 0.5
