"""Learnable weight scaling: one factor a class on the logits of phase 1's head."""

from collections.abc import Mapping
from copy import deepcopy
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from fdmo_core import ComponentConfig, Phase2Parts, Rebalancer
from fdmo_core.classifier import linear_classifier
from fdmo_plugins.rebalancers.retraining import descend, draw_batch


class LearnedScalesConfig(ComponentConfig):
    """Options of :class:`LearnedScales`."""

    name: Literal["lws"] = "lws"
    epochs: int = Field(
        default=20,
        ge=0,
        description="Passes over the dictionary's size; 20 are as many updates as 10 of "
        "adversarial, which updates twice a step.",
    )
    batch_size: int = Field(default=256, ge=1, description="Real features a step.")
    learning_rate: float = Field(
        default=0.1, gt=0, description="Adam's rate at the first step; it falls to 0 by a cosine."
    )


class LearnedScales(Rebalancer):
    """Keeps features and head, and learns by what each class's logit is multiplied.

    It learns from class-balanced draws by cross-entropy, as its source does. The run's loss plays
    no part: one that wants cosine scores could not be folded into a classifier with factors.

    Source: Kang et al. 2020 (LWS). The factor is on the whole logit, bias included.

    Departs from Kang et al.: Adam in place of SGD, under the same cosine, for as many updates as
    the other rebalancers have.

    Args:
        config: Steps and rate.
        parts: Classifier and dictionary.
    """

    config_class: ClassVar[type[ComponentConfig]] = LearnedScalesConfig
    config: LearnedScalesConfig

    def __init__(self, config: LearnedScalesConfig, *, parts: Phase2Parts) -> None:
        super().__init__(config, parts=parts)
        self.head = deepcopy(parts.classifier).requires_grad_(False)
        self.scales = nn.Parameter(torch.ones_like(self.head.get_parameter("bias")))  # (C,)
        self._dictionary = parts.dictionary
        held = parts.dictionary.class_sizes
        self._prior = (held > 0).float()  # (C,)
        self._optimizer = torch.optim.Adam([self.scales], lr=config.learning_rate, fused=True)
        self.num_steps = config.epochs * -(-int(held.sum()) // config.batch_size)

    @property
    def classifier(self) -> nn.Module:
        """The head with its present factors; see :attr:`Rebalancer.classifier`."""
        weight, bias = self.head.get_parameter("weight"), self.head.get_parameter("bias")
        return linear_classifier(self.scales.unsqueeze(1) * weight, self.scales * bias)

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return that of the factors; see :meth:`Rebalancer.optimizers`."""
        return {"scales": self._optimizer}

    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        """Update the factors once; see :meth:`Rebalancer.step`."""
        batch = draw_batch(self._dictionary, self._prior, self.config.batch_size, rng)
        loss = F.cross_entropy(self.scales * self.head(batch.features), batch.labels)
        share = index / self.num_steps
        return {"loss": descend(self._optimizer, loss, peak=self.config.learning_rate, share=share)}
