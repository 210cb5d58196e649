"""Cross-entropy, which weighs every feature alike."""

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from fdmo_core import ComponentConfig, Loss


class CrossEntropyLossConfig(ComponentConfig):
    """Options of :class:`CrossEntropyLoss`: none."""

    name: Literal["cross-entropy"] = "cross-entropy"


class CrossEntropyLoss(Loss):
    """Negative log-probability of the true class, in float32 whatever the logits' dtype.

    Source: Sec. III-B.

    Args:
        config: No options.
        class_counts: Not used. Shape ``(C,)``, int64.
    """

    config_class: ClassVar[type[ComponentConfig]] = CrossEntropyLossConfig

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy; shapes as in :meth:`Loss.forward`."""
        return F.cross_entropy(logits.float(), labels)
