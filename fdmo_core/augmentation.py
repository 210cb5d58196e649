"""Random changes of training images, with their landmarks: mirror, turn, zoom, shift, light."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fdmo_core.samples import Visibility
from fdmo_core.settings import Settings


class AugmentationConfig(Settings):
    """How far training images may be changed; all zero and no mirror for none."""

    mirror: bool = Field(default=True, description="Mirror half of the images left to right.")
    rotation: float = Field(default=8.0, ge=0, le=180, description="Largest turn, in degrees.")
    zoom: float = Field(
        default=0.1, ge=0, lt=1, description="Largest change of size; 0.1 is 0.9 to 1.1 times."
    )
    shift: float = Field(
        default=0.06, ge=0, le=1, description="Largest shift, as a share of the image's side."
    )
    brightness: float = Field(
        default=0.15, ge=0, le=1, description="Largest change of brightness, of the full range."
    )
    contrast: float = Field(
        default=0.15, ge=0, lt=1, description="Largest relative change of contrast."
    )

    def any(self) -> bool:
        """Return whether any change is asked for."""
        return self.mirror or any(
            (self.rotation, self.zoom, self.shift, self.brightness, self.contrast)
        )


class Changes(NamedTuple):
    """How each image of a batch is changed.

    Attributes:
        turned: Turn, zoom and mirror of positions in half image sides. Shape ``(B, 2, 2)``.
        shift: In half image sides. Shape ``(B, 2)``.
        is_mirrored: Shape ``(B,)``, bool.
        contrast: Factor of the distance from the image's mean. Shape ``(B,)``.
        brightness: Added afterwards. Shape ``(B,)``.
    """

    turned: Tensor
    shift: Tensor
    is_mirrored: Tensor
    contrast: Tensor
    brightness: Tensor

    def of(self, images: slice) -> "Changes":
        """Return the changes of some of the images."""
        return Changes(*(column[images] for column in self))


def draw_changes(count: int, config: AugmentationConfig, rng: torch.Generator) -> Changes:
    """Return how each of a number of images is to be changed, on the CPU."""
    angle = _uniform(count, math.radians(config.rotation), rng)
    scale = 1 + _uniform(count, config.zoom, rng)
    is_mirrored = (torch.rand(count, generator=rng) < 0.5) & config.mirror
    shift = 2 * torch.stack(
        [_uniform(count, config.shift, rng), _uniform(count, config.shift, rng)], dim=1
    )
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    sign = 1 - 2 * is_mirrored.float()
    rows = [torch.stack([cosine * sign, -sine], 1), torch.stack([sine * sign, cosine], 1)]
    contrast = 1 + _uniform(count, config.contrast, rng)
    brightness = _uniform(count, config.brightness, rng)
    return Changes(torch.stack(rows, dim=1), shift, is_mirrored, contrast, brightness)


def augment(
    images: Tensor,
    landmarks: Tensor,
    changes: Changes,
    *,
    mirrored_landmarks: Sequence[tuple[int, int]],
) -> tuple[Tensor, Tensor]:
    """Return changed images with their landmarks; each image is changed in its own way.

    Landmarks move with the image; those that leave it become truncated. In a mirrored image the
    paired landmarks change places.

    Args:
        images: Values in [0, 1]. Shape ``(B, 3, H, W)`` with H = W, float32.
        landmarks: x, y in pixels and a Visibility. Shape ``(B, K, 3)``, float32; K may be 0.
        changes: Of these images.
        mirrored_landmarks: Pairs of landmarks that a mirror exchanges.
    """
    turned, shift, is_mirrored, contrast, brightness = (one.to(images.device) for one in changes)
    inverse = torch.linalg.inv(turned)
    theta = torch.cat([inverse, -inverse @ shift.unsqueeze(2)], dim=2)  # (B, 2, 3), to the source
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    changed = F.grid_sample(images, grid, align_corners=False)
    moved = _move(landmarks, turned, shift, images.shape[-1])
    for left, right in mirrored_landmarks:
        swapped = moved[:, [right, left]]
        moved[:, [left, right]] = torch.where(
            is_mirrored[:, None, None], swapped, moved[:, [left, right]]
        )
    return _relight(changed, contrast, brightness), moved


def _uniform(count: int, largest: float, rng: torch.Generator) -> Tensor:
    return (2 * torch.rand(count, generator=rng) - 1) * largest


def _relight(images: Tensor, contrast: Tensor, brightness: Tensor) -> Tensor:
    contrast, brightness = (one[:, None, None, None] for one in (contrast, brightness))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return ((images - mean) * contrast + mean + brightness).clamp(0, 1)


def _move(landmarks: Tensor, turned: Tensor, shift: Tensor, size: int) -> Tensor:
    """Return landmarks after the same change; positions are in pixels, centres whole numbers."""
    centred = (landmarks[:, :, :2] + 0.5) * (2 / size) - 1  # (B, K, 2) in half image sides
    moved = torch.einsum("bij,bkj->bki", turned, centred) + shift.unsqueeze(1)
    is_inside = (moved.abs() <= 1).all(dim=2)
    visibility = torch.where(
        is_inside, landmarks[:, :, 2], landmarks[:, :, 2].clamp(max=float(Visibility.TRUNCATED))
    )
    return torch.cat([(moved + 1) * (size / 2) - 0.5, visibility.unsqueeze(2)], dim=2)
