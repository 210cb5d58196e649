"""The letterbox: a box of an image, resized into the middle of a black square.

What :func:`fdmo_core.preprocessing.prepare` does to one image, in operations that a graph can hold
for images of any size, each with a box of its own. Resizing is linear in the pixels, so it is a
product with one matrix for the columns and one for the rows; what lies outside the box has weight
zero. Decision 0012 says why training has a form of its own, and how little the two differ.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Letterbox(NamedTuple):
    """Where boxes of images lie in the network's square input; x before y, int64.

    Attributes:
        corner: Left and top of the box, in pixels of the image. Shape ``(B, 2)``.
        size: Width and height of the box there. Shape ``(B, 2)``.
        offset: Where the resized box begins, in pixels of the square. Shape ``(B, 2)``.
        new_size: Its width and height there. Shape ``(B, 2)``.
    """

    corner: Tensor
    size: Tensor
    offset: Tensor
    new_size: Tensor

    def place_back(self, points: Tensor) -> Tensor:
        """Return points of the square in pixels of the images; whole numbers are pixel centres.

        Args:
            points: x and y. Shape ``(B, K, 2)``, float32.
        """
        scale = (self.size / self.new_size).unsqueeze(1)  # (B, 1, 2)
        return (points - self.offset.unsqueeze(1) + 0.5) * scale - 0.5 + self.corner.unsqueeze(1)


def fit_letterbox(boxes: Tensor, *, width: int, height: int, image_size: int) -> Letterbox:
    """Return where boxes of images of one size lie in the square.

    The longer side becomes ``image_size``, the other one keeps the ratio, halves rounded up, and is
    at least 1. All of it is integer arithmetic, exact in every language.

    Args:
        boxes: Left, top, right, bottom in pixels; the first two are rounded down, the others up,
            all clipped to the image. Shape ``(B, 4)``, float32.
        width: Width of the images in pixels.
        height: Height of the images in pixels.
        image_size: Side of the square in pixels.
    """
    left, top = (boxes[:, one].floor().clamp(min=0).long() for one in (0, 1))
    right = boxes[:, 2].ceil().clamp(max=width).long()
    bottom = boxes[:, 3].ceil().clamp(max=height).long()
    corner = torch.stack((left, top), dim=1)
    size = (torch.stack((right, bottom), dim=1) - corner).clamp(min=0)
    longer = size.amax(dim=1, keepdim=True).clamp(min=1)
    new_size = ((2 * image_size * size + longer) // (2 * longer)).clamp(min=1)
    return Letterbox(corner, size, (image_size - new_size) // 2, new_size)


def letterbox(images: Tensor, where: Letterbox, image_size: int) -> Tensor:
    """Return the square input of images of one size.

    Resizing is bilinear with antialiasing: a triangle as wide as two pixels of the result or of
    the image, whichever are larger, cut at the box and scaled to sum 1. As in training, columns
    come before rows and each result is rounded to a whole number.

    Args:
        images: RGB. Shape ``(B, H, W, 3)``, uint8.
        where: Of each image. A box without area gives not-a-number.
        image_size: S, side of the square in pixels.

    Returns:
        Whole numbers from 0 to 255. Shape ``(B, 3, S, S)``, float32.
    """
    num_images, height, width, channels = images.shape
    columns = _weights(where, 0, width, image_size)  # (B, S, W)
    rows = _weights(where, 1, height, image_size)  # (B, S, H)
    across = images.transpose(1, 2).reshape(num_images, width, height * channels)
    lines = (columns @ across.float()).round()  # (B, S, H * 3)
    lines = lines.reshape(num_images, image_size, height, channels).transpose(1, 2)
    down = lines.reshape(num_images, height, image_size * channels)
    square = (rows @ down).round().reshape(num_images, image_size, image_size, channels)
    return square.permute(0, 3, 1, 2)


def _weights(where: Letterbox, axis: int, length: int, image_size: int) -> Tensor:
    """Return what each pixel of the image counts in one of the square; shape ``(B, S, length)``."""
    device = where.size.device
    corner, size, offset, new_size = (one[:, axis, None] for one in where)  # (B, 1) each
    cells = torch.arange(image_size, device=device) - offset  # (B, S)
    pixels = torch.arange(length, device=device) - corner  # (B, length)
    scale = size / new_size
    centres = (cells + 0.5) * scale - 0.5
    distances = (pixels.unsqueeze(1) - centres.unsqueeze(2)).abs() / scale.clamp(min=1).unsqueeze(2)
    inside = ((pixels >= 0) & (pixels < size)).unsqueeze(1)
    weights = (1 - distances).clamp(min=0) * inside
    filled = ((cells >= 0) & (cells < new_size)).unsqueeze(2)
    return torch.where(filled, weights / weights.sum(dim=2, keepdim=True), 0.0)
