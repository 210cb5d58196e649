"""Figures of what a generator mixes, against loops over plain numbers."""

import math

import pytest
import torch
from torch import Tensor

from fdmo_core.interfaces import ArtificialFeatures
from fdmo_core.mixing import mixing, moment_gaps, moved
from fdmo_core.randomness import rng_for

NO_FEATURES = torch.empty(0)


def made(weights: Tensor, rows: Tensor | None = None) -> ArtificialFeatures:
    return ArtificialFeatures(NO_FEATURES, weights, rows)


def drawn(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=rng_for(0, "weights")).square().softmax(dim=-1)


def plain_entropy(weights: list[float], rows: list[int]) -> float:
    by_row: dict[int, float] = {}
    for weight, row in zip(weights, rows, strict=True):
        by_row[row] = by_row.get(row, 0.0) + weight
    return -sum(weight * math.log(weight) for weight in by_row.values() if weight > 0)


def test_entropy_and_sources_are_those_of_a_plain_loop() -> None:
    weights = drawn(4, 2, 5)
    rows = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3], [5, 5, 5, 5, 5], [0, 1, 0, 1, 0]])
    sizes = [5, 9, 3, 2]

    found = mixing(made(weights, rows), torch.tensor(sizes))

    for sample, size in enumerate(sizes):
        lines = [plain_entropy(one, rows[sample].tolist()) for one in weights[sample].tolist()]
        expected = sum(lines) / 2 / math.log(min(5, size))
        sources = sum(math.exp(one) for one in lines) / 2
        assert found.entropy[sample].item() == pytest.approx(expected, rel=1e-6, abs=1e-6)
        assert found.sources[sample].item() == pytest.approx(sources, rel=1e-6)


def test_a_copy_has_one_source_and_a_mean_has_all() -> None:
    weights = torch.tensor([[[0.0, 1.0, 0.0, 0.0]], [[0.25] * 4]])

    found = mixing(made(weights, torch.arange(4).expand(2, 4)), torch.tensor([4, 4]))

    torch.testing.assert_close(found.entropy, torch.tensor([0.0, 1.0]).double())
    torch.testing.assert_close(found.sources, torch.tensor([1.0, 4.0]).double())


def test_a_row_that_is_chosen_twice_is_one_source() -> None:
    found = mixing(made(torch.tensor([[[0.5, 0.5]]]), torch.tensor([[7, 7]])), torch.tensor([8]))

    assert found.sources.tolist() == [pytest.approx(1.0)]


def test_padding_is_no_source() -> None:
    weights = torch.tensor([[[0.5, 0.5, 0.0, 0.0]]])

    found = mixing(made(weights, torch.tensor([[3, 4, 3, 3]])), torch.tensor([2]))

    assert found.entropy.tolist() == [pytest.approx(1.0)]


def test_a_class_of_one_row_says_nothing() -> None:
    found = mixing(made(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[3, 3]])), torch.tensor([1]))

    assert found.entropy.isnan().all()
    assert found.sources.isnan().all()


def test_how_far_weights_moved_is_that_of_a_plain_loop() -> None:
    before, now = drawn(3, 2, 4), drawn(3, 2, 4).flip(2)

    gaps = [
        sum(abs(one - other) for one, other in zip(*lines, strict=True)) / 2
        for lines in zip(before.flatten(0, 1).tolist(), now.flatten(0, 1).tolist(), strict=True)
    ]

    assert moved(made(before), made(now)) == pytest.approx(sum(gaps) / 6, rel=1e-6)
    assert moved(made(before), made(before)) == 0
    assert moved(made(before, torch.zeros(3, 4)), made(before, torch.ones(3, 4))) == 1


def plain_moments(rows: list[list[float]]) -> tuple[list[float], list[float]]:
    columns = list(zip(*rows, strict=True))
    means = [sum(one) / len(one) for one in columns]
    deviations = [
        math.sqrt(sum((x - mean) ** 2 for x in one) / (len(one) - 1))
        for one, mean in zip(columns, means, strict=True)
    ]
    return means, deviations


def test_the_distances_of_moments_are_those_of_a_plain_loop() -> None:
    real = torch.randn(5, 3, generator=rng_for(0, "real"))
    artificial = torch.randn(4, 3, generator=rng_for(0, "artificial")) * 2 + 1

    found = moment_gaps(real, artificial)

    (mean, spread), (other, others) = map(plain_moments, (real.tolist(), artificial.tolist()))
    length = math.hypot(*spread)
    assert found is not None
    assert found.mean == pytest.approx(math.dist(mean, other) / length, rel=1e-6)
    assert found.deviation == pytest.approx(math.dist(spread, others) / length, rel=1e-6)


def test_equal_features_have_equal_moments_and_their_mean_has_no_deviation() -> None:
    real = torch.randn(5, 3, generator=rng_for(0, "real"))

    assert moment_gaps(real, real) == (0, 0)
    assert moment_gaps(real, real.mean(dim=0).expand(4, 3)) == pytest.approx((0, 1), abs=1e-6)


@pytest.mark.parametrize("real", [torch.ones(1, 3), torch.ones(4, 3)])
def test_one_row_or_equal_rows_have_no_distances(real: Tensor) -> None:
    assert moment_gaps(real, torch.randn(4, 3)) is None
