"""LDAM: cross-entropy that asks rare classes to win by a larger margin."""

from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fdmo_core import ComponentConfig, Loss
from fdmo_core.imbalance import class_balanced_weights


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
    drw_start: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the training after which classes are weighted; 1: never.",
    )
    drw_beta: float = Field(
        default=0.9999, ge=0, lt=1, description="Beta of these class-balanced weights."
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

    With ``drw_start`` below 1 the last part of the training weighs each class by its effective
    number of images (deferred re-weighting). That is meant for natural draws; where a rebalancer
    draws all classes equally often, as ``adversarial`` does, it leans to the rare classes a second
    time.

    Source: Cao et al. 2019, with DRW; 0.8 of the training is where their recipe begins it. The
    paper fine-tunes the main classifier with LDAM (Sec. III-C) and states neither the margin nor
    the scale, nor does it mention DRW.

    Departs from Cao et al.: their weighted mean is divided by the sum of the batch's weights, ours
    by the size of the batch, so that a batch of rare classes counts for more than one of frequent
    ones.

    Args:
        config: Margin, scale, the kind of scores and the weights. With cosine scores the logits
            arrive multiplied by ``scale``, and so are the margins; linear logits meet them
            unscaled.
        class_counts: Training images per class, at least one not 0. Shape ``(C,)``, int64.
    """

    config_class: ClassVar[type[ComponentConfig]] = LdamLossConfig
    config: LdamLossConfig
    offsets: Tensor  # (C,), what the true class loses, in units of logits
    weights: Tensor  # (C,), of the last part of the training

    def __init__(self, config: LdamLossConfig, *, class_counts: Tensor) -> None:
        super().__init__(config, class_counts=class_counts)
        self.cosine_scale = config.scale if config.head == "cosine" else None
        margins = class_margins(class_counts, config.max_margin)
        self.register_buffer("offsets", margins * (self.cosine_scale or 1.0), persistent=False)
        weights = class_balanced_weights(class_counts, config.drw_beta)
        self.register_buffer("weights", weights, persistent=False)
        self._is_weighted = False

    def begin_step(self, share: float) -> None:
        """Decide whether classes are weighted; see :meth:`Loss.begin_step`."""
        self._is_weighted = share >= self.config.drw_start

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean LDAM loss; shapes as in :meth:`Loss.forward`."""
        true_class = F.one_hot(labels, logits.shape[1])  # (B, C)
        scores = logits.float() - self.offsets * true_class
        if not self._is_weighted:
            return F.cross_entropy(scores, labels)
        terms = F.cross_entropy(scores, labels, reduction="none")  # (B,)
        return (self.weights[labels] * terms).mean()
