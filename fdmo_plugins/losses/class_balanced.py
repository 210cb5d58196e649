"""Class-balanced loss: each class weighs by its effective number of images."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from fdmo_core import ComponentConfig, Loss
from fdmo_core.imbalance import class_balanced_weights
from fdmo_plugins.losses.focal import focal_terms


class ClassBalancedLossConfig(ComponentConfig):
    """Options of :class:`ClassBalancedLoss`."""

    name: Literal["class-balanced"] = "class-balanced"
    beta: float = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="0 weighs all classes alike; beyond 1 / (1 - beta) images a class stops "
        "losing weight.",
    )
    gamma: float = Field(
        default=0.0,
        ge=0,
        description="Focusing exponent of the loss that is weighted; 0: cross-entropy.",
    )


class ClassBalancedLoss(Loss):
    """Cross-entropy or focal loss, weighted by the effective number of each class, in float32.

    Meant for natural draws, as with ``crt`` and ``sampling = "natural"``. Where a rebalancer draws
    all classes equally often, as ``adversarial`` does, balance is reached without it, and the
    weights lean to the rare classes a second time.

    ``beta`` is 0.999 by default, as in Kim et al. 2020. The 0.9999 of Cui et al. sets in beyond
    10,000 images a class only; below that its weights are all but ``1 / n``.

    Source: Cui et al. 2019, in its softmax form; weights as
    :func:`~fdmo_core.imbalance.class_balanced_weights` has them. The focal term takes the
    probability of the true class before any weight.

    Args:
        config: Strength of the weights and focusing exponent.
        class_counts: Training images per class, at least one not 0. Shape ``(C,)``, int64.
    """

    config_class: ClassVar[type[ComponentConfig]] = ClassBalancedLossConfig
    config: ClassBalancedLossConfig
    weights: Tensor  # (C,)

    def __init__(self, config: ClassBalancedLossConfig, *, class_counts: Tensor) -> None:
        super().__init__(config, class_counts=class_counts)
        weights = class_balanced_weights(class_counts, config.beta)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean of the weighted terms; shapes as in :meth:`Loss.forward`."""
        return (self.weights[labels] * focal_terms(logits, labels, self.config.gamma)).mean()
