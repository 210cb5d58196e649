"""A stranger's plugin for phase 2: a loss that can break, and a generator without learning."""

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fdmo_core import (
    ArtificialFeatures,
    ComponentConfig,
    DrawnFeatures,
    FeatureGenerator,
    Loss,
    hookimpl,
)
from fdmo_core.combination import convex_combination

FDMO_API = 1


class TillLossConfig(ComponentConfig):
    """Options of :class:`TillLoss`."""

    name: Literal["till-loss"] = "till-loss"
    weight: float = Field(default=1.0, gt=0, le=9, description="Factor on the cross-entropy.")
    breaks_at: float = Field(default=1.0, ge=0, le=1, description="Share of training; 1: never.")


class TillLoss(Loss):
    """Weighted cross-entropy."""

    config_class: ClassVar[type[ComponentConfig]] = TillLossConfig
    config: TillLossConfig

    def begin_step(self, share: float) -> None:
        """Break where the config says so."""
        if share >= self.config.breaks_at:
            raise ZeroDivisionError("the till is empty")

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss; shapes as in :meth:`Loss.forward`."""
        return self.config.weight * F.cross_entropy(logits.float(), labels)


class TillMixConfig(ComponentConfig):
    """Options of :class:`TillMix`: none."""

    name: Literal["till-mix"] = "till-mix"


class TillMix(FeatureGenerator):
    """The mean of what was drawn."""

    config_class: ClassVar[type[ComponentConfig]] = TillMixConfig
    noise_dim = 1

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return means; shapes as in :meth:`FeatureGenerator.forward`."""
        weights = self._weights(drawn.mask[drawn.groups])
        return ArtificialFeatures(convex_combination(weights, drawn, self.stream_dims), weights)

    def weigh(self, noise: Tensor, labels: Tensor, drawn: Tensor, mask: Tensor) -> Tensor:
        """Return equal weights; shapes as in :meth:`FeatureGenerator.weigh`."""
        return self._weights(mask)

    def _weights(self, mask: Tensor) -> Tensor:
        shares = mask.float() / mask.sum(dim=1, keepdim=True)  # (B, S)
        return shares.unsqueeze(1).expand(-1, len(self.stream_dims), -1)


@hookimpl
def register_losses(register: Callable[[type[Loss]], None]) -> None:
    """Supply the loss."""
    register(TillLoss)


@hookimpl
def register_generators(register: Callable[[type[FeatureGenerator]], None]) -> None:
    """Supply the generator."""
    register(TillMix)
