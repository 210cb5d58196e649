"""Post-hoc logit adjustment: the prior is taken out of phase 1's logits, without training."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fdmo_core import ComponentConfig, HeldOut, HeldOutSource, Phase2Parts, Rebalancer
from fdmo_core.classifier import linear_classifier
from fdmo_core.imbalance import log_priors
from fdmo_core.strength import Criterion, Strength, best_strength

GRID = tuple(round(-1 + 0.05 * index, 2) for index in range(81))  # -1 to 3


class LogitAdjustmentConfig(ComponentConfig):
    """Options of :class:`LogitAdjustment`."""

    name: Literal["logit-adjustment"] = "logit-adjustment"
    tau: Annotated[float, Field(ge=-10, le=10)] | Literal["fitted"] = Field(
        default="fitted",
        description="Strength; 1 takes the prior out of calibrated logits. A number is taken as "
        "it is; fitted: chosen on held-out images from -1 to 3 in steps of 0.05.",
    )
    fit_on: HeldOutSource = Field(
        default="validation",
        description="Held-out images that tau is fitted on; out-of-fold ones cost the training "
        "of several more models.",
    )
    criterion: Criterion = Field(
        default="balanced-nll", description="What tau is fitted to; all classes count alike."
    )


class LogitAdjustment(Rebalancer):
    """Subtracts tau times its log prior from each class's logit.

    Source: Menon et al. 2021, post hoc: ``z - tau log pi``, with the prior of all training images.
    They take 1 for tau. A class without images is as in
    :func:`~fdmo_core.imbalance.log_priors`: it gains no more than the largest.

    Args:
        config: The strength, or what it is fitted on.
        parts: The classifier, the counts and, to fit, held-out images.
    """

    config_class: ClassVar[type[ComponentConfig]] = LogitAdjustmentConfig
    num_steps = 0

    def __init__(self, config: LogitAdjustmentConfig, *, parts: Phase2Parts) -> None:
        super().__init__(config, parts=parts)
        weight = parts.classifier.get_parameter("weight")
        bias = parts.classifier.get_parameter("bias")
        prior = log_priors(parts.class_counts).to(bias.device)
        tau = config.tau
        if tau == "fitted":
            tau = self._fitted(config, parts, prior)
        self.main_classifier = linear_classifier(weight, bias - tau * prior)

    def _fitted(self, config: LogitAdjustmentConfig, parts: Phase2Parts, prior: Tensor) -> float:
        chosen = fitted_tau(parts.held_out(config.fit_on), prior, config.criterion)
        self.notices = [chosen.describe("tau", config.fit_on)]
        return chosen.value

    @classmethod
    def needs_out_of_fold(cls, config: LogitAdjustmentConfig) -> bool:
        """Say whether tau is fitted on them; see :meth:`Rebalancer.needs_out_of_fold`."""
        return config.tau == "fitted" and config.fit_on == "out-of-fold"

    @property
    def classifier(self) -> nn.Module:
        """Phase 1's classifier with another bias; see :attr:`Rebalancer.classifier`."""
        return self.main_classifier

    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        """Do nothing; there are no steps. See :meth:`Rebalancer.step`."""
        return {}


def fitted_tau(held: HeldOut, prior: Tensor, criterion: Criterion) -> Strength:
    """Return the tau that serves held-out images best.

    Args:
        held: What phase 1 says of them.
        prior: Log prior of each class. Shape ``(C,)``.
        criterion: What is good; all classes count alike.
    """
    return best_strength(
        GRID,
        lambda tau: held.logits - tau * prior,
        held.labels,
        criterion=criterion,
        num_classes=len(prior),
        nearest_to=1.0,
    )
