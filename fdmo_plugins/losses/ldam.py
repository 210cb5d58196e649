"""LDAM: cross-entropy that asks rare classes to win by a larger margin."""

from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fdmo_core import ComponentConfig, Loss


class LdamLossConfig(ComponentConfig):
    """Options of :class:`LdamLoss`."""

    name: Literal["ldam"] = "ldam"
    max_margin: float = Field(
        default=0.5, ge=0, le=1, description="Margin of the rarest class, in units of cosine."
    )
    scale: float = Field(
        default=30.0, gt=0, description="Factor on the cosines; without effect on a linear head."
    )
    head: Literal["cosine", "linear"] = Field(
        default="cosine", description="Scores of the classifier: scaled cosines, or linear logits."
    )


def class_margins(class_counts: Tensor, max_margin: float) -> Tensor:
    """Return how far each class must be ahead.

    A class without training images gets ``max_margin``: no label asks for its margin, and it must
    not change the margins of the others, which are relative to the rarest class that has images.

    Source: Cao et al. 2019: proportional to the count to the power of -1/4.

    Args:
        class_counts: Training images per class, at least one not 0. Shape ``(C,)``, int64.
        max_margin: Margin of the rarest class.

    Returns:
        Margins in ``(0, max_margin]``. Shape ``(C,)``, float32.
    """
    rarest = class_counts[class_counts > 0].min()
    return max_margin * (rarest / class_counts.clamp(min=rarest)).float() ** 0.25


class LdamLoss(Loss):
    """Cross-entropy after the true class has lost its margin, in float32.

    The margin exists in this loss alone: predictions use the logits as they are.

    Source: Cao et al. 2019. The paper fine-tunes the main classifier with it (Sec. III-C) and
    states neither the margin nor the scale. Re-weighting late in training (their DRW) is left out.

    Args:
        config: Margin, scale and the kind of scores. With cosine scores the logits arrive
            multiplied by ``scale``, and so are the margins; linear logits meet them unscaled.
        class_counts: Training images per class, at least one not 0. Shape ``(C,)``, int64.
    """

    config_class: ClassVar[type[ComponentConfig]] = LdamLossConfig
    offsets: Tensor  # (C,), what the true class loses, in units of logits

    def __init__(self, config: LdamLossConfig, *, class_counts: Tensor) -> None:
        super().__init__(config, class_counts=class_counts)
        self.cosine_scale = config.scale if config.head == "cosine" else None
        margins = class_margins(class_counts, config.max_margin)
        self.register_buffer("offsets", margins * (self.cosine_scale or 1.0), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean LDAM loss; shapes as in :meth:`Loss.forward`."""
        true_class = F.one_hot(labels, logits.shape[1])  # (B, C)
        return F.cross_entropy(logits.float() - self.offsets * true_class, labels)
