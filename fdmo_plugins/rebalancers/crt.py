"""Classifier re-training: a new head learns from class-balanced draws of real features."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from fdmo_core import ComponentConfig, Phase2Parts, Rebalancer
from fdmo_core.classifier import LinearClassifier, classifier_for_loss
from fdmo_plugins.rebalancers.retraining import descend, draw_batch


class ClassifierRetrainingConfig(ComponentConfig):
    """Options of :class:`ClassifierRetraining`."""

    name: Literal["crt"] = "crt"
    epochs: int = Field(
        default=20,
        ge=0,
        description="Passes over the dictionary's size; 20 are as many updates as 10 of "
        "adversarial, which updates twice a step.",
    )
    batch_size: int = Field(default=256, ge=1, description="Real features a step.")
    learning_rate: float = Field(
        default=1e-3, gt=0, description="Adam's rate at the first step; it falls to 0 by a cosine."
    )
    restart: bool = Field(
        default=True, description="Whether the head begins at random weights; false: at phase 1's."
    )
    sampling: Literal["balanced", "natural"] = Field(
        default="balanced",
        description="Classes are drawn equally often, or as often as in the training images, which "
        "is what a loss that corrects the prior is meant for.",
    )


class ClassifierRetraining(Rebalancer):
    """Trains a head anew on the frozen features, with the configured loss.

    With ``sampling = "natural"`` and the loss ``balanced-softmax`` it is the decoupled balanced
    softmax of Ren et al. 2020. A loss that corrects the prior over-corrects on balanced draws.

    Source: Kang et al. 2020 (cRT), which takes cross-entropy.

    Departs from Kang et al.: Adam in place of SGD with a rate of 0.2, under the same cosine. The
    size of a step then depends neither on the scale of the features nor on that of the loss, so
    that one rate serves all losses.

    Args:
        config: Steps, rate, beginning and draws.
        parts: Classifier, dictionary, counts and loss.
    """

    config_class: ClassVar[type[ComponentConfig]] = ClassifierRetrainingConfig
    config: ClassifierRetrainingConfig

    def __init__(self, config: ClassifierRetrainingConfig, *, parts: Phase2Parts) -> None:
        super().__init__(config, parts=parts)
        head = parts.classifier
        if config.restart:
            weight = head.get_parameter("weight")
            head = LinearClassifier(weight.shape[1], weight.shape[0]).to(weight.device)
        self.main_classifier = classifier_for_loss(head, parts.loss)
        self.loss = parts.loss
        self._dictionary = parts.dictionary
        held = parts.dictionary.class_sizes
        counts = parts.class_counts if config.sampling == "natural" else torch.ones_like(held)
        self._prior = (counts * (held > 0)).float()  # (C,)
        self._optimizer = torch.optim.Adam(
            self.main_classifier.parameters(), lr=config.learning_rate, fused=True
        )
        self.num_steps = config.epochs * -(-int(held.sum()) // config.batch_size)

    @property
    def classifier(self) -> nn.Module:
        """The head; see :attr:`Rebalancer.classifier`."""
        return self.main_classifier

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the head's; see :meth:`Rebalancer.optimizers`."""
        return {"classifier": self._optimizer}

    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        """Update the head once; see :meth:`Rebalancer.step`."""
        share = index / self.num_steps
        self.loss.begin_step(share)
        batch = draw_batch(self._dictionary, self._prior, self.config.batch_size, rng)
        loss = self.loss(self.main_classifier(batch.features), batch.labels)
        return {"loss": descend(self._optimizer, loss, peak=self.config.learning_rate, share=share)}
