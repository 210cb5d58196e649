"""The maximum mean discrepancy, against double loops."""

import math
from statistics import median

import pytest
import torch
from torch import Tensor

from fdmo_core.provenance.mmd import median_distance, squared_mmd, squared_mmd_of_halves


def drawn(rows: int, seed: int = 0, shift: float = 0.0) -> Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed)) + shift


def distance(x: Tensor, y: Tensor) -> float:
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(x.tolist(), y.tolist(), strict=True)))


def kernel(x: Tensor, y: Tensor, width: float) -> float:
    return math.exp(-(distance(x, y) ** 2) / (2 * width**2))


def looped_mmd(real: Tensor, artificial: Tensor, width: float) -> float:
    n, m = len(real), len(artificial)
    total = 0.0
    for rows, size in ((real, n), (artificial, m)):
        for i in range(size):
            for j in range(size):
                if i != j:
                    total += kernel(rows[i], rows[j], width) / (size * (size - 1))
    for x in real:
        for y in artificial:
            total -= 2 * kernel(x, y, width) / (n * m)
    return total


def test_the_width_is_the_median_distance_of_different_rows() -> None:
    features = drawn(6)  # 15 pairs, so that the median is one of them

    pairs = [distance(features[i], features[j]) for i in range(6) for j in range(i)]
    assert median_distance(features) == pytest.approx(median(pairs))


def test_it_is_the_sum_over_all_pairs() -> None:
    real, artificial = drawn(5), drawn(7, seed=1, shift=0.5)

    expected = looped_mmd(real, artificial, 1.3)
    assert squared_mmd(real, artificial, 1.3) == pytest.approx(expected, abs=1e-12)


def test_halves_are_compared_like_two_sets_and_an_odd_row_is_left_out() -> None:
    real, rng = drawn(7), torch.Generator().manual_seed(3)

    found = squared_mmd_of_halves(real, 1.3, num_halvings=4, rng=rng)

    same = torch.Generator().manual_seed(3)
    for value in found.tolist():
        order = torch.randperm(7, generator=same)
        expected = looped_mmd(real[order[:3]], real[order[3:6]], 1.3)
        assert value == pytest.approx(expected, abs=1e-12)


def test_features_of_the_same_kind_are_like_halves_and_shifted_ones_are_not() -> None:
    real = drawn(200)
    width = median_distance(real)
    rng = torch.Generator().manual_seed(0)
    limit = squared_mmd_of_halves(real, width, num_halvings=100, rng=rng).quantile(0.95).item()

    assert squared_mmd(real, drawn(200, seed=1), width) < limit
    assert squared_mmd(real, drawn(200, seed=1, shift=1.0), width) > 10 * limit


def test_halves_differ_by_nothing_on_average() -> None:
    real, rng = drawn(40), torch.Generator().manual_seed(0)

    found = squared_mmd_of_halves(real, median_distance(real), num_halvings=400, rng=rng)

    assert abs(found.mean().item()) < 3 * found.std().item() / math.sqrt(400)
