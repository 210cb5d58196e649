"""Squared error between class probabilities and one-hot labels: the paper's baseline loss."""

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from fdmo_core import ComponentConfig, Loss


class SquaredErrorLossConfig(ComponentConfig):
    """Options of :class:`SquaredErrorLoss`: none."""

    name: Literal["squared-error"] = "squared-error"


class SquaredErrorLoss(Loss):
    """Squared error of the softmax probabilities, in float32 whatever the logits' dtype.

    Source: Sec. III-C, which names the mean squared error only. That it is taken of
    probabilities and averaged over the outputs follows Mullick et al. 2019 (GAMO).

    Args:
        config: No options.
        class_counts: Not used. Shape ``(C,)``, int64.
    """

    config_class: ClassVar[type[ComponentConfig]] = SquaredErrorLossConfig

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over batch and classes; shapes as in :meth:`Loss.forward`."""
        probabilities = logits.float().softmax(dim=1)
        return F.mse_loss(probabilities, F.one_hot(labels, logits.shape[1]).float())
