"""Normalisation of colours, the first stage of most extractors."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Shifts and scales the colours of an image.

    Mean and deviation are saved with the weights, so that whoever compares two extractors by
    their weights compares these too.

    Args:
        mean: Subtracted from red, green, blue.
        std: What red, green, blue are then divided by.
    """

    mean: Tensor  # (3, 1, 1)
    std: Tensor  # (3, 1, 1)

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the normalised images; shapes ``(B, 3, H, W)``."""
        return (images - self.mean) / self.std
