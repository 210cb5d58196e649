"""What landmark predictions cost: Eq. (1), and the cross-entropy of visibility."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from fdmo_core import Visibility

Weighted = Literal["visible", "in-picture"]
Reduction = Literal["mean", "sum"]


def counted_landmarks(landmarks: Tensor, weighted: Weighted) -> Tensor:
    """Return which landmarks have v = 1 in Eq. (1).

    Args:
        landmarks: x, y and a :class:`Visibility`. Shape ``(B, K, 3)``.
        weighted: ``"visible"`` as in the paper; ``"in-picture"`` counts occluded ones too.

    Returns:
        v. Shape ``(B, K)``, bool.
    """
    least = Visibility.VISIBLE if weighted == "visible" else Visibility.OCCLUDED
    return landmarks[..., 2] >= least


def landmark_loss(
    heatmaps: Tensor, truth: Tensor, *, counted: Tensor, reduction: Reduction
) -> Tensor:
    """Return the squared error of the heatmaps of the landmarks that count, in float32.

    Source: Eq. (1).

    Departs from the paper: ``"mean"`` divides by the number of cells of the counted maps, so that
    the term keeps its size whatever K and however many landmarks are visible. ``"sum"`` is
    Eq. (1) as printed, averaged over the images of the batch.

    Args:
        heatmaps: Predicted. Shape ``(B, K, 28, 28)``.
        truth: Shape ``(B, K, 28, 28)``, float32.
        counted: v. Shape ``(B, K)``, bool.
        reduction: How the squared errors of cells become one number.

    Returns:
        The loss, 0 where nothing counts. Shape ``()``, float32.
    """
    per_map = ((heatmaps.float() - truth) ** 2).sum(dim=(2, 3))  # (B, K)
    total = (counted * per_map).sum()
    if reduction == "sum":
        return total / len(heatmaps)
    return total / (counted.sum().clamp(min=1) * truth[0, 0].numel())


def visibility_loss(logits: Tensor, visible: Tensor) -> Tensor:
    """Return the binary cross-entropy of visibility over all landmarks, in float32.

    Every landmark counts, also one that the garment does not have: the paper's vector has length
    K for every image, and such a landmark cannot be seen.

    Source: Sec. III-B.

    Args:
        logits: Shape ``(B, K)``.
        visible: Shape ``(B, K)``, bool.

    Returns:
        The mean over batch and landmarks. Shape ``()``, float32.
    """
    return F.binary_cross_entropy_with_logits(logits.float(), visible.float())
