"""Focal loss: smaller gradients from images that are already classified well."""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fdmo_core import ComponentConfig, Loss

SMALLEST = torch.finfo(torch.float32).tiny  # keeps 1 - p_t off 0, where a power below 1 is steep


class FocalLossConfig(ComponentConfig):
    """Options of :class:`FocalLoss`."""

    name: Literal["focal"] = "focal"
    gamma: float = Field(default=2.0, ge=0, description="Focusing exponent; 0 gives cross-entropy.")


class FocalLoss(Loss):
    """Cross-entropy scaled down where the true class is likely, in float32.

    Source: Lin et al. 2017, Eq. (4), with the softmax probability of the true class as
    ``p_t``. The paper fine-tunes the main classifier with it (Sec. III-C) and states no gamma.

    Args:
        config: The focusing exponent.
        class_counts: Not used. Shape ``(C,)``, int64.
    """

    config_class: ClassVar[type[ComponentConfig]] = FocalLossConfig
    config: FocalLossConfig

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean focal loss; shapes as in :meth:`Loss.forward`."""
        cross_entropy = F.cross_entropy(logits.float(), labels, reduction="none")  # (B,), -log p_t
        doubt = -torch.expm1(-cross_entropy)  # (B,), 1 - p_t
        return (doubt.clamp(min=SMALLEST) ** self.config.gamma * cross_entropy).mean()
