"""From the heatmaps of a landmark head to positions.

Pixels and heatmap cells are squares whose centre is their integer coordinate, so both grids cover
the same picture and ``x_pixel + 0.5 = (x_heatmap + 0.5) * image_size / 28``.
"""

import torch
from torch import Tensor

from fdmo_core.interfaces import HEATMAP_SIZE


def decode_heatmaps(heatmaps: Tensor, *, image_size: int) -> Tensor:
    """Return where each heatmap is largest, as the centre of that cell.

    Args:
        heatmaps: Shape ``(B, K, 28, 28)``.
        image_size: Side of the network input in pixels.

    Returns:
        x and y in pixels of the network input. Shape ``(B, K, 2)``, float32.
    """
    largest = heatmaps.flatten(start_dim=2).argmax(dim=2)  # (B, K)
    cells = torch.stack((largest % HEATMAP_SIZE, largest // HEATMAP_SIZE), dim=2)
    return (cells + 0.5) * image_size / HEATMAP_SIZE - 0.5
