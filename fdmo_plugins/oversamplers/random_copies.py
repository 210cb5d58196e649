"""Random oversampling: an artificial feature is a drawn one, unchanged."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fdmo_core import ArtificialFeatures, ComponentConfig, DrawnFeatures, FeatureGenerator


class RandomCopiesConfig(ComponentConfig):
    """Options of :class:`RandomCopies`: none."""

    name: Literal["random"] = "random"


class RandomCopies(FeatureGenerator):
    """Copies one of the drawn features, chosen with equal chances.

    A control for what mixing adds: convex weights that are all on one source.
    """

    config_class: ClassVar[type[ComponentConfig]] = RandomCopiesConfig

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return copies; see :meth:`FeatureGenerator.forward`."""
        chosen = drawn.mask[drawn.groups].float().cpu().multinomial(1, generator=rng)  # (B, 1)
        rows = drawn.rows[drawn.groups].gather(1, chosen.to(drawn.rows.device))  # (B, 1)
        features = drawn.store[rows.squeeze(1)]
        weights = features.new_ones(len(rows), len(self.stream_dims), 1)
        return ArtificialFeatures(features, weights, rows)
