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


def focal_terms(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Return each sample's focal loss, in float32; 0 for gamma gives its cross-entropy.

    Args:
        logits: Shape ``(B, C)``.
        labels: Shape ``(B,)``, int64.
        gamma: Focusing exponent.

    Returns:
        Shape ``(B,)``, float32.
    """
    cross_entropy = F.cross_entropy(logits.float(), labels, reduction="none")  # -log p_t
    doubt = -torch.expm1(-cross_entropy)  # 1 - p_t
    return doubt.clamp(min=SMALLEST) ** gamma * cross_entropy


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
        return focal_terms(logits, labels, self.config.gamma).mean()
