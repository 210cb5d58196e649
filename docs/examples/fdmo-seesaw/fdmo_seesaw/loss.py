"""Seesaw loss: cross-entropy in which a class pushes another down by less or by more."""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fdmo_core import ComponentConfig, Loss


class SeesawLossConfig(ComponentConfig):
    """Options of :class:`SeesawLoss`."""

    name: Literal["seesaw"] = "seesaw"
    mitigation: float = Field(
        default=0.8,
        ge=0,
        le=10,
        description="p: how much less a common class pushes down a rarer one; 0 is not at all.",
    )
    compensation: float = Field(
        default=2.0,
        ge=0,
        le=10,
        description="q: how much more a class is pushed down that scores above the true one.",
    )


class SeesawLoss(Loss):
    """Cross-entropy whose other classes count by what they have and by how wrong they are.

    With i the true class, the exponential of another class j is multiplied by M_ij C_ij. The
    mitigation M_ij is (n_j / n_i)^p where j is the rarer one, the compensation C_ij is
    (p_j / p_i)^q where j is the more likely one, and each is 1 elsewhere. Both are constants to
    the gradient.

    Source: Wang et al. 2021, "Seesaw Loss for Long-Tailed Instance Segmentation".

    Departs from Wang et al.: the counts are those of the training split, which are known before
    the first step; they count images as they come. There are no objects against a background, so
    there is no second classifier for that, and the logits are plain ones, not cosines. p_i has no
    lower bound: the ratio is taken of logits and cannot overflow.

    A class without images is nobody's rarer one, so that it is pushed down as in cross-entropy.

    Args:
        config: Both exponents.
        class_counts: Training images per class. Shape ``(C,)``, int64.
    """

    config_class: ClassVar[type[ComponentConfig]] = SeesawLossConfig
    config: SeesawLossConfig
    log_mitigation: Tensor  # (C, C), the true class first

    def __init__(self, config: SeesawLossConfig, *, class_counts: Tensor) -> None:
        super().__init__(config, class_counts=class_counts)
        known = class_counts.where(class_counts > 0, class_counts.max())
        counts = known.double().log()  # (C,)
        ratios = (counts - counts.unsqueeze(1)).clamp(max=0)  # log of n_j / n_i, where below 0
        self.register_buffer(
            "log_mitigation", (config.mitigation * ratios).float(), persistent=False
        )

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss; shapes as in :meth:`Loss.forward`."""
        scores = logits.float()
        ahead = self._lead_over_true(scores.detach(), labels)
        factors = self.log_mitigation[labels] + self.config.compensation * ahead
        return F.cross_entropy(scores + factors, labels)

    @staticmethod
    def _lead_over_true(scores: Tensor, labels: Tensor) -> Tensor:
        """Return log (p_j / p_i) where j is the more likely one, else 0. Shape ``(B, C)``."""
        true = scores.gather(1, labels.unsqueeze(1))  # (B, 1)
        return torch.relu(scores - true)
