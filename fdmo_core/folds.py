"""Which training images each fold model is trained without, and how its features are mapped."""

import torch
from pydantic import Field
from torch import Tensor

from fdmo_core.settings import Settings


class CrossfitConfig(Settings):
    """How training images are scored by models that did not learn from them."""

    folds: int = Field(
        default=4, ge=2, le=20, description="Parts that are left out in turn; a model for each."
    )
    ridge: float = Field(
        default=0.01,
        gt=0,
        description="Strength of the ridge that maps a fold's features into the space of phase 1, "
        "as a share of their mean variance.",
    )
    dictionary: bool = Field(
        default=False,
        description="Whether the dictionary holds cross-fitted features in place of phase 1's own.",
    )


def assign_folds(labels: Tensor, num_folds: int, rng: torch.Generator) -> Tensor:
    """Return the fold of each image: the model of that fold is trained without it.

    Every class is spread over the folds as evenly as can be, from a fold of its own on, so that
    classes of few images do not all fall into the first folds.

    Args:
        labels: Class of every image. Shape ``(N,)``, int64.
        num_folds: K.
        rng: Source of randomness, on the CPU.

    Returns:
        Numbers in [0, K). Shape ``(N,)``, int64.
    """
    folds = torch.empty_like(labels)
    for label in labels.unique().tolist():
        own = torch.nonzero(labels == label).flatten()
        own = own[torch.randperm(len(own), generator=rng)]
        first = int(torch.randint(num_folds, (1,), generator=rng))
        folds[own] = (first + torch.arange(len(own))) % num_folds
    return folds


class RidgeMap:
    """Learns a linear map from one feature space into another, a batch at a time.

    Two networks that were trained from the same start by different images have features that mean
    the same, but not number by number. The map is found on images that both have learned from.

    Source: ridge regression (Hoerl and Kennard 1970) with row weights, in its centred form.

    Args:
        feature_dim: F, of both spaces.
    """

    def __init__(self, feature_dim: int) -> None:
        self._weight = 0.0
        self._lowest = torch.full((), torch.inf)
        self._is_same = True
        self._sums = torch.zeros(2, feature_dim, dtype=torch.float64)
        self._products = torch.zeros(2, feature_dim, feature_dim, dtype=torch.float64)

    def see(self, features: Tensor, targets: Tensor, weights: Tensor) -> None:
        """Take note of some rows.

        Args:
            features: What is mapped. Shape ``(B, F)``.
            targets: The same rows in the space that is mapped into. Shape ``(B, F)``.
            weights: How much each row counts. Shape ``(B,)``.
        """
        self._is_same = self._is_same and torch.equal(features, targets)
        features, targets, weights = (
            one.to(self._sums.device, torch.float64) for one in (features, targets, weights)
        )
        weighted = weights.unsqueeze(1) * features
        self._weight += float(weights.sum())
        self._lowest = torch.minimum(self._lowest, targets.amin().cpu())
        self._sums[0] += weighted.sum(dim=0)
        self._sums[1] += weights @ targets
        self._products[0] += weighted.T @ features
        self._products[1] += weighted.T @ targets

    def solve(self, ridge: float) -> "SolvedMap":
        """Return the map; between spaces that were equal in all rows it changes nothing.

        Args:
            ridge: Strength, as a share of the mean variance of a feature.
        """
        means = self._sums / self._weight  # (2, F)
        variance = self._products[0] / self._weight - torch.outer(means[0], means[0])
        covariance = self._products[1] / self._weight - torch.outer(means[0], means[1])
        strength = ridge * variance.diagonal().mean().clamp(min=torch.finfo(torch.float32).tiny)
        penalised = variance + strength * torch.eye(len(variance), dtype=torch.float64)
        matrix = torch.linalg.solve(penalised, covariance)
        if self._is_same:
            means, matrix = torch.zeros_like(means), torch.eye(len(matrix))
        return SolvedMap(means.float(), matrix.float(), is_rectified=bool(self._lowest >= 0))


class SolvedMap:
    """A linear map between two feature spaces.

    Args:
        means: Of the features and of the targets. Shape ``(2, F)``.
        matrix: Shape ``(F, F)``.
        is_rectified: Whether the target space has no negative numbers, as after a ReLU.
    """

    def __init__(self, means: Tensor, matrix: Tensor, *, is_rectified: bool) -> None:
        self._means, self._matrix, self._is_rectified = means, matrix, is_rectified

    def __call__(self, features: Tensor) -> Tensor:
        """Return features ``(B, F)``, float32, on the CPU, in the target space."""
        mapped = (features.cpu() - self._means[0]) @ self._matrix + self._means[1]
        return mapped.clamp(min=0) if self._is_rectified else mapped
