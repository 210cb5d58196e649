"""Balanced softmax: cross-entropy of a softmax that knows how many images each class has."""

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from fdmo_core import ComponentConfig, Loss
from fdmo_core.imbalance import log_priors


class BalancedSoftmaxLossConfig(ComponentConfig):
    """Options of :class:`BalancedSoftmaxLoss`: none."""

    name: Literal["balanced-softmax"] = "balanced-softmax"


class BalancedSoftmaxLoss(Loss):
    """Cross-entropy after each logit has gained the log of its class's count, in float32.

    The gain exists in this loss alone: predictions use the logits as they are, which then are
    those of classes that are equally frequent.

    Meant for natural draws, as with ``crt`` and ``sampling = "natural"``. Where a rebalancer draws
    all classes equally often, as ``adversarial`` does, there is no prior left to correct, and rare
    classes come out favoured by the whole imbalance.

    Source: Ren et al. 2020: the softmax of ``z + log n``. Shares stand for counts here, which
    shifts all logits alike and so changes nothing. A class without images is as in
    :func:`~fdmo_core.imbalance.log_priors`.

    Args:
        config: No options.
        class_counts: Training images per class, at least one not 0. Shape ``(C,)``, int64.
    """

    config_class: ClassVar[type[ComponentConfig]] = BalancedSoftmaxLossConfig
    offsets: Tensor  # (C,)

    def __init__(self, config: BalancedSoftmaxLossConfig, *, class_counts: Tensor) -> None:
        super().__init__(config, class_counts=class_counts)
        self.register_buffer("offsets", log_priors(class_counts), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy; shapes as in :meth:`Loss.forward`."""
        return F.cross_entropy(logits.float() + self.offsets, labels)
