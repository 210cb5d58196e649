"""No rebalancing: the row that every other one is compared with."""

from collections.abc import Mapping
from copy import deepcopy
from typing import ClassVar, Literal

import torch
from torch import nn

from fdmo_core import ComponentConfig, Phase2Parts, Rebalancer


class NoRebalancingConfig(ComponentConfig):
    """Options of :class:`NoRebalancing`: none."""

    name: Literal["none"] = "none"


class NoRebalancing(Rebalancer):
    """Keeps the main classifier as phase 1 trained it.

    Args:
        config: No options.
        parts: The classifier; nothing else plays a part.
    """

    config_class: ClassVar[type[ComponentConfig]] = NoRebalancingConfig
    num_steps = 0

    def __init__(self, config: NoRebalancingConfig, *, parts: Phase2Parts) -> None:
        super().__init__(config, parts=parts)
        self.main_classifier = deepcopy(parts.classifier)

    @property
    def classifier(self) -> nn.Module:
        """Phase 1's classifier; see :attr:`Rebalancer.classifier`."""
        return self.main_classifier

    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        """Do nothing; there are no steps. See :meth:`Rebalancer.step`."""
        return {}
