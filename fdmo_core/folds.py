"""Which training images each fold model is trained without, and how its features are mapped."""

import torch
from pydantic import Field
from torch import Tensor

from fdmo_core.errors import ConfigError
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
    ensemble: bool = Field(
        default=False,
        description="Whether the fold models are deployed beside phase 1's, their scores averaged; "
        "all but the frozen prefix then costs folds + 1 times as much.",
    )


def require_no_ensemble(config: CrossfitConfig) -> None:
    """Raise a ConfigError for an ensemble on data that are features, which all members share."""
    if config.ensemble:
        raise ConfigError(
            "crossfit.ensemble joins networks that each learn features, but the data are features "
            "already. Expected images. Set crossfit.ensemble = false."
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
        feature_dim: F, of what is mapped.
        target_dim: F', of the space that is mapped into.
    """

    def __init__(self, feature_dim: int, target_dim: int) -> None:
        self._weight = 0.0
        self._lowest = torch.full((), torch.inf)
        self._is_same = True
        self._sum, self._target_sum, self._squares, self._products = (
            torch.zeros(shape, dtype=torch.float64)
            for shape in (
                (feature_dim,),
                (target_dim,),
                (feature_dim, feature_dim),
                (feature_dim, target_dim),
            )
        )

    def see(self, features: Tensor, targets: Tensor, weights: Tensor) -> None:
        """Take note of some rows.

        Args:
            features: What is mapped. Shape ``(B, F)``.
            targets: The same rows in the space that is mapped into. Shape ``(B, F')``.
            weights: How much each row counts. Shape ``(B,)``.
        """
        self._is_same = self._is_same and torch.equal(features, targets)
        features, targets, weights = (
            one.to("cpu", torch.float64) for one in (features, targets, weights)
        )
        weighted = weights.unsqueeze(1) * features
        self._weight += float(weights.sum())
        self._lowest = torch.minimum(self._lowest, targets.amin())
        self._sum += weighted.sum(dim=0)
        self._target_sum += weights @ targets
        self._squares += weighted.T @ features
        self._products += weighted.T @ targets

    def solve(self, ridge: float) -> "SolvedMap":
        """Return the map; between spaces that were equal in all rows it changes nothing.

        Args:
            ridge: Strength, as a share of the mean variance of a feature.
        """
        mean, target_mean = self._sum / self._weight, self._target_sum / self._weight
        variance = self._squares / self._weight - torch.outer(mean, mean)  # (F, F)
        covariance = self._products / self._weight - torch.outer(mean, target_mean)  # (F, F')
        strength = ridge * variance.diagonal().mean().clamp(min=torch.finfo(torch.float32).tiny)
        penalised = variance + strength * torch.eye(len(variance), dtype=torch.float64)
        matrix = torch.linalg.solve(penalised, covariance)
        if self._is_same:
            mean, target_mean = torch.zeros_like(mean), torch.zeros_like(mean)
            matrix = torch.eye(len(mean))
        return SolvedMap(
            mean.float(), target_mean.float(), matrix.float(), is_rectified=bool(self._lowest >= 0)
        )


class SolvedMap:
    """A linear map between two feature spaces.

    Args:
        mean: Of the features. Shape ``(F,)``.
        target_mean: Of the targets. Shape ``(F',)``.
        matrix: Shape ``(F, F')``.
        is_rectified: Whether the target space has no negative numbers, as after a ReLU.
    """

    def __init__(
        self, mean: Tensor, target_mean: Tensor, matrix: Tensor, *, is_rectified: bool
    ) -> None:
        self._mean, self._target_mean, self._matrix = mean, target_mean, matrix
        self._is_rectified = is_rectified

    def __call__(self, features: Tensor) -> Tensor:
        """Return features ``(B, F')`` in the target space of features ``(B, F)``, on the CPU."""
        mapped = (features.cpu() - self._mean) @ self._matrix + self._target_mean
        return mapped.clamp(min=0) if self._is_rectified else mapped
