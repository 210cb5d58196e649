"""The mean of the drawn features."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fdmo_core import ArtificialFeatures, ComponentConfig, DrawnFeatures, FeatureGenerator
from fdmo_core.combination import convex_combination


class DrawnMeanConfig(ComponentConfig):
    """Options of :class:`DrawnMean`: none."""

    name: Literal["mean"] = "mean"


class DrawnMean(FeatureGenerator):
    """Weighs all drawn features alike.

    A control for what a learned generator adds: convexgan before it has learned anything is near
    it. All samples of a class share one drawn set, so within one call they are equal.
    """

    config_class: ClassVar[type[ComponentConfig]] = DrawnMeanConfig

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return means; see :meth:`FeatureGenerator.forward`."""
        shares = drawn.mask / drawn.mask.sum(dim=1, keepdim=True)  # (G, S)
        weights = shares[drawn.groups].unsqueeze(1)  # (B, 1, S)
        features = convex_combination(weights, drawn, (drawn.store.shape[1],))
        return ArtificialFeatures(features, weights.expand(-1, len(self.stream_dims), -1))

    def weigh(self, noise: Tensor, labels: Tensor, drawn: Tensor, mask: Tensor) -> Tensor:
        """Return equal weights; see :meth:`FeatureGenerator.weigh`."""
        shares = mask / mask.sum(dim=1, keepdim=True)  # (B, S)
        return shares.unsqueeze(1).expand(-1, len(self.stream_dims), -1)
