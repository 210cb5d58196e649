import numpy as np
import pytest
import torch
from torch import Tensor

from fdmo_core.folds import RidgeMap, assign_folds
from fdmo_core.randomness import rng_for


def assigned(labels: Tensor, num_folds: int = 4, *, seed: int = 0) -> Tensor:
    return assign_folds(labels, num_folds, rng_for(seed, "folds"))


def test_every_class_is_spread_as_evenly_as_can_be() -> None:
    labels = torch.arange(3).repeat_interleave(torch.tensor([41, 6, 2]))

    folds = assigned(labels)

    for label in range(3):
        sizes = folds[labels == label].bincount(minlength=4)
        assert sizes.max() - sizes.min() <= 1


def test_classes_of_one_image_do_not_all_fall_into_one_fold() -> None:
    folds = assigned(torch.arange(40))

    assert (folds.bincount(minlength=4) > 3).all()


def test_the_seed_decides() -> None:
    labels = torch.arange(2).repeat(20)

    assert torch.equal(assigned(labels), assigned(labels))
    assert not torch.equal(assigned(labels), assigned(labels, seed=1))


def rows(seed: int, *, size: int = 60, dim: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    rng = rng_for(seed, "rows")
    features = torch.randn(size, dim, generator=rng)
    targets = features @ torch.randn(dim, dim, generator=rng) - 1
    targets += 0.1 * torch.randn(size, dim, generator=rng)
    return features, targets, torch.rand(size, generator=rng) + 0.1


def test_the_map_is_weighted_ridge_regression_of_centred_rows() -> None:
    features, targets, weights = rows(0)
    seen = RidgeMap(4, 4)
    seen.see(features, targets, weights)

    x, t, v = (one.double().numpy() for one in (features, targets, weights / weights.sum()))
    mean_x, mean_t = v @ x, v @ t
    gram, cross = np.zeros((4, 4)), np.zeros((4, 4))
    for row in range(len(x)):
        gram += v[row] * np.outer(x[row] - mean_x, x[row] - mean_x)
        cross += v[row] * np.outer(x[row] - mean_x, t[row] - mean_t)
    matrix = np.linalg.inv(gram + 0.3 * np.trace(gram) / 4 * np.eye(4)) @ cross
    expected = (x - mean_x) @ matrix + mean_t
    np.testing.assert_allclose(seen.solve(0.3)(features), expected, atol=1e-4)


def test_the_target_space_may_have_another_dimension() -> None:
    features, targets, weights = rows(4)
    whole, first = RidgeMap(4, 4), RidgeMap(4, 2)
    whole.see(features, targets, weights)
    first.see(features, targets[:, :2], weights)

    torch.testing.assert_close(first.solve(0.1)(features), whole.solve(0.1)(features)[:, :2])


def test_rows_may_come_in_parts() -> None:
    features, targets, weights = rows(1)
    whole, parts = RidgeMap(4, 4), RidgeMap(4, 4)
    whole.see(features, targets, weights)
    for part in zip(features.split(7), targets.split(7), weights.split(7), strict=True):
        parts.see(*part)

    torch.testing.assert_close(parts.solve(0.01)(features), whole.solve(0.01)(features))


def test_equal_spaces_are_left_as_they_are() -> None:
    features, _, weights = rows(2)
    seen = RidgeMap(4, 4)
    seen.see(features, features.clone(), weights)

    assert torch.equal(seen.solve(0.5)(features), features)


@pytest.mark.parametrize("shift", [0.0, 9.0])
def test_a_space_without_negative_numbers_gets_none(shift: float) -> None:
    features, targets, weights = rows(3)
    seen = RidgeMap(4, 4)
    seen.see(features, targets.abs() if shift == 0 else targets - shift, weights)

    mapped = seen.solve(0.01)(4 * features)

    assert (mapped.min() >= 0) == (shift == 0)
