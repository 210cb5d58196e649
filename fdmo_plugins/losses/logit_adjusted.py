"""Logit-adjusted loss: balanced softmax with a strength."""

from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fdmo_core import ComponentConfig, Loss
from fdmo_core.imbalance import log_priors


class LogitAdjustedLossConfig(ComponentConfig):
    """Options of :class:`LogitAdjustedLoss`."""

    name: Literal["logit-adjusted"] = "logit-adjusted"
    tau: float = Field(
        default=1.0,
        ge=0,
        le=10,
        description="Strength of the prior; 0 gives cross-entropy, 1 balanced softmax.",
    )


class LogitAdjustedLoss(Loss):
    """Cross-entropy after each logit has gained tau times its class's log prior, in float32.

    The gain exists in this loss alone: predictions use the logits as they are. The rebalancer
    ``logit-adjustment`` makes the same correction after training.

    Meant for natural draws, as with ``crt`` and ``sampling = "natural"``. Where a rebalancer draws
    all classes equally often, as ``adversarial`` does, there is no prior left to correct, and rare
    classes come out favoured.

    Source: Menon et al. 2021: the softmax of ``z + tau log pi``. A class without images is as in
    :func:`~fdmo_core.imbalance.log_priors`.

    Args:
        config: The strength.
        class_counts: Training images per class, at least one not 0. Shape ``(C,)``, int64.
    """

    config_class: ClassVar[type[ComponentConfig]] = LogitAdjustedLossConfig
    offsets: Tensor  # (C,)

    def __init__(self, config: LogitAdjustedLossConfig, *, class_counts: Tensor) -> None:
        super().__init__(config, class_counts=class_counts)
        self.register_buffer("offsets", config.tau * log_priors(class_counts), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy; shapes as in :meth:`Loss.forward`."""
        return F.cross_entropy(logits.float() + self.offsets, labels)
