"""fdmo's own rebalancer: a head fine-tuned on cross-fitted features, joined with another."""

from collections.abc import Mapping
from copy import deepcopy
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from fdmo_core import ComponentConfig, HeldOut, Phase2Parts, Rebalancer
from fdmo_core.classifier import linear_classifier
from fdmo_core.epoch_order import balanced_rows
from fdmo_core.imbalance import log_priors
from fdmo_core.strength import Criterion
from fdmo_plugins.rebalancers.logit_adjustment import fitted_tau
from fdmo_plugins.rebalancers.retraining import descend


class CrossfitRebalancerConfig(ComponentConfig):
    """Options of :class:`CrossfitRebalancer`."""

    name: Literal["crossfit"] = "crossfit"
    steps: int = Field(default=100, ge=0, description="Updates of the cross-fitted head.")
    batch_size: int = Field(
        default=512, ge=1, description="Features a step, their classes drawn alike."
    )
    learning_rate: float = Field(
        default=1e-3, gt=0, description="Adam's rate at the first step; it falls to 0 by a cosine."
    )
    adjusted_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the logit-adjusted head in the final one; 0 is the cross-fitted head "
        "alone, 1 logit adjustment alone.",
    )
    criterion: Criterion = Field(
        default="balanced-nll", description="What tau is fitted to; all classes count alike."
    )


class CrossfitRebalancer(Rebalancer):
    """Averages two heads: one fine-tuned on cross-fitted features, one with the prior taken out.

    Every training image is represented by the feature that a network gives which was trained
    without it. On these, classes overlap as they do for new images, so a balanced fine-tuning has
    something to learn. The other head is phase 1's after logit adjustment, whose tau is chosen on
    the same networks' logits. Both are linear, and so is their average.

    Source: docs/recommended-method.md. Menon et al. 2021 for logit adjustment; Kang et al. 2020
    for class-balanced draws.

    The run's loss plays no part: the head learns by cross-entropy.

    Args:
        config: Steps, and how the heads are joined.
        parts: The classifier and the out-of-fold features and logits.
    """

    config_class: ClassVar[type[ComponentConfig]] = CrossfitRebalancerConfig
    config: CrossfitRebalancerConfig

    def __init__(self, config: CrossfitRebalancerConfig, *, parts: Phase2Parts) -> None:
        super().__init__(config, parts=parts)
        self._held = parts.held_out("out-of-fold")
        self._labels = self._held.labels.cpu()
        self.head = deepcopy(parts.classifier)
        self.adjusted, notice = _adjusted_head(config, parts, self._held)
        self.notices = [notice]
        self._optimizer = torch.optim.Adam(
            self.head.parameters(), lr=config.learning_rate, fused=True
        )
        self.num_steps = config.steps

    @classmethod
    def needs_out_of_fold(cls, config: CrossfitRebalancerConfig) -> bool:
        """Say yes; see :meth:`Rebalancer.needs_out_of_fold`."""
        return True

    @property
    def classifier(self) -> nn.Module:
        """The average of both heads; see :attr:`Rebalancer.classifier`."""
        share = self.config.adjusted_share
        weight, bias = (
            torch.lerp(self.head.get_parameter(name), self.adjusted.get_parameter(name), share)
            for name in ("weight", "bias")
        )
        return linear_classifier(weight, bias)

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return that of the fine-tuned head; see :meth:`Rebalancer.optimizers`."""
        return {"head": self._optimizer}

    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        """Update the cross-fitted head once; see :meth:`Rebalancer.step`."""
        rows = balanced_rows(self._labels, self.config.batch_size, rng).to(self._held.labels.device)
        loss = F.cross_entropy(self.head(self._held.features[rows]), self._held.labels[rows])
        share = index / self.num_steps
        return {"loss": descend(self._optimizer, loss, peak=self.config.learning_rate, share=share)}


def _adjusted_head(
    config: CrossfitRebalancerConfig, parts: Phase2Parts, held: HeldOut
) -> tuple[nn.Module, str]:
    """Return phase 1's head after logit adjustment, frozen, and what tau was chosen."""
    weight, bias = (parts.classifier.get_parameter(name) for name in ("weight", "bias"))
    prior = log_priors(parts.class_counts).to(bias.device)
    chosen = fitted_tau(held, prior, config.criterion)
    adjusted = linear_classifier(weight, bias - chosen.value * prior).requires_grad_(False)
    return adjusted, chosen.describe("tau", "out-of-fold")
