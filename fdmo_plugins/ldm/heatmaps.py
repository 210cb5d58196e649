"""Between landmark positions and heatmaps, and the error of positions.

Pixels and heatmap cells are squares whose centre is their integer coordinate, so both grids cover
the same picture and ``x_heatmap + 0.5 = (x_pixel + 0.5) * 28 / image_size``.
"""

import torch
from torch import Tensor

from fdmo_core.interfaces import HEATMAP_SIZE


def gaussian_heatmaps(landmarks: Tensor, *, image_size: int, sigma: float) -> Tensor:
    """Return the ground truth that a landmark head should predict.

    Each map is ``exp(-d^2 / (2 sigma^2))`` for the distance ``d`` of a cell's centre to the
    landmark. It reaches 1 where a landmark lies on a centre, and ``exp(-1 / (4 sigma^2))`` in the
    nearest cells where it lies on a corner; a landmark far outside the picture leaves it empty.

    Source: Sec. III-B, which leaves the width of the Gaussian open.

    Args:
        landmarks: x, y and visibility, which makes no difference here; positions are in pixels
            of the square network input. Shape ``(B, K, 3)``, finite.
        image_size: Side of the network input in pixels.
        sigma: Standard deviation in heatmap cells.

    Returns:
        Heatmaps in [0, 1], rows along y. Shape ``(B, K, 28, 28)``, float32.
    """
    centres = (landmarks[..., :2].float() + 0.5) * HEATMAP_SIZE / image_size - 0.5  # (B, K, 2)
    cells = torch.arange(HEATMAP_SIZE, device=landmarks.device)
    profiles = torch.exp(-((cells - centres.unsqueeze(3)) ** 2) / (2 * sigma**2))  # (B, K, 2, 28)
    along_x, along_y = profiles.unbind(dim=2)
    return along_y.unsqueeze(3) * along_x.unsqueeze(2)


def normalized_error(
    positions: Tensor, landmarks: Tensor, *, counted: Tensor, image_size: int
) -> Tensor:
    """Return the distance to the true landmarks as a share of the picture's side.

    The mean over images is taken for each landmark, then the mean over landmarks; a landmark that
    counts in no image is left out.

    Source: Liu and Lu 2018, who divide pixels by the coordinate of the last one.

    Args:
        positions: Predicted x and y in pixels. Shape ``(B, K, 2)``.
        landmarks: True x, y and visibility. Shape ``(B, K, 3)``.
        counted: Which landmarks to score. Shape ``(B, K)``, bool.
        image_size: Side of the network input in pixels.

    Returns:
        The error; nan where no landmark counts. Shape ``()``, float32.
    """
    right, down = (positions - landmarks[..., :2]).unbind(dim=2)
    distances = torch.hypot(right, down)  # (B, K), pixels
    return (distances / (image_size - 1)).where(counted, torch.nan).nanmean(dim=0).nanmean()
