"""Tau-normalisation: the classes' weights are made more alike in length, without training."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fdmo_core import ComponentConfig, HeldOutSource, Phase2Parts, Rebalancer
from fdmo_core.classifier import linear_classifier
from fdmo_core.strength import Criterion, best_strength

GRID = tuple(round(0.1 * index, 1) for index in range(21))  # 0 to 2


class TauNormConfig(ComponentConfig):
    """Options of :class:`TauNorm`."""

    name: Literal["tau-norm"] = "tau-norm"
    tau: Annotated[float, Field(ge=-10, le=10)] | Literal["fitted"] = Field(
        default="fitted",
        description="Strength; 0 drops the bias only, 1 makes all weights as long. A number is "
        "taken as it is; fitted: chosen on held-out images from 0 to 2 in steps of 0.1.",
    )
    fit_on: HeldOutSource = Field(
        default="validation",
        description="Held-out images that tau is fitted on; out-of-fold ones cost the training "
        "of several more models.",
    )
    criterion: Criterion = Field(
        default="acsa", description="What tau is fitted to; all classes count alike."
    )


class TauNorm(Rebalancer):
    """Divides each class's weights by their length to the power of tau, and drops the bias.

    Works as far as frequent classes have longer weights, which weight decay and long training
    bring about. Where they have not, as after a few epochs of Adam, little changes but the bias.

    Source: Kang et al. 2020; their code tries the same values of tau.

    Args:
        config: The strength, or what it is fitted on.
        parts: The classifier and, to fit, held-out images.
    """

    config_class: ClassVar[type[ComponentConfig]] = TauNormConfig
    num_steps = 0

    def __init__(self, config: TauNormConfig, *, parts: Phase2Parts) -> None:
        super().__init__(config, parts=parts)
        weight = parts.classifier.get_parameter("weight").detach()
        tau = self._fitted(config, parts, weight) if config.tau == "fitted" else config.tau
        self.main_classifier = linear_classifier(
            normalized_weights(weight, tau), weight.new_zeros(len(weight))
        )

    def _fitted(self, config: TauNormConfig, parts: Phase2Parts, weight: Tensor) -> float:
        held = parts.held_out(config.fit_on)
        chosen = best_strength(
            GRID,
            lambda tau: held.features @ normalized_weights(weight, tau).T,
            held.labels,
            criterion=config.criterion,
            num_classes=len(weight),
            nearest_to=1.0,
        )
        self.notices = [chosen.describe("tau", config.fit_on)]
        return chosen.value

    @classmethod
    def needs_out_of_fold(cls, config: TauNormConfig) -> bool:
        """Say whether tau is fitted on them; see :meth:`Rebalancer.needs_out_of_fold`."""
        return config.tau == "fitted" and config.fit_on == "out-of-fold"

    @property
    def classifier(self) -> nn.Module:
        """The normalised classifier; see :attr:`Rebalancer.classifier`."""
        return self.main_classifier

    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        """Do nothing; there are no steps. See :meth:`Rebalancer.step`."""
        return {}


def normalized_weights(weight: Tensor, tau: float) -> Tensor:
    """Return each row divided by its length to the power of tau; a row of zeros stays.

    Args:
        weight: Shape ``(C, F)``.
        tau: 0 changes nothing.
    """
    lengths = weight.norm(dim=1, keepdim=True)  # (C, 1)
    divisors: Tensor = lengths.where(lengths > 0, 1.0) ** tau
    return weight / divisors
