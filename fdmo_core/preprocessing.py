"""From a sample to the network's square input: crop to the box, letterbox, centred on black.

Source: Sec. IV-A of the paper. It does not say where the black border goes; here the image is
centred.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from fdmo_core.errors import DataError
from fdmo_core.samples import Sample, Visibility


class Letterbox(NamedTuple):
    """Where a crop of an image lies in the network's square input.

    Attributes:
        left, top, width, height: The crop, in pixels of the image.
        offset_x, offset_y: Where the resized crop begins, in pixels of the square.
        new_width, new_height: Its size there.
    """

    left: int
    top: int
    width: int
    height: int
    offset_x: int
    offset_y: int
    new_width: int
    new_height: int

    def place(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return points of the image in pixels of the square; shape ``(K, 2)``.

        Whole numbers are the centres of pixels.
        """
        corner = np.array([self.left, self.top], dtype=np.float32)
        offset = np.array([self.offset_x, self.offset_y], dtype=np.float32)
        scale = np.array(
            [self.new_width / self.width, self.new_height / self.height], dtype=np.float32
        )
        placed: NDArray[np.float32] = (points - corner + 0.5) * scale - 0.5 + offset
        return placed


class PreparedSample(NamedTuple):
    """A sample as the network takes it.

    Attributes:
        image: Shape ``(3, H, W)`` with H = W, uint8; or features, shape ``(F,)``, float32.
        landmarks: x and y in pixels of ``image``, and a Visibility. Shape ``(K, 3)``, float32;
            K is 0 where there are none.
    """

    image: Tensor
    landmarks: Tensor


def fit_letterbox(
    width: int,
    height: int,
    image_size: int,
    *,
    box: tuple[float, float, float, float] | None = None,
) -> Letterbox:
    """Return the letterbox for an image of a size, cropped to a box where there is one.

    Args:
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        image_size: Side of the square in pixels.
        box: Left, top, right, bottom in pixels; clipped to the image.

    Raises:
        DataError: The box has no area inside the image.
    """
    left, top, right, bottom = box or (0, 0, width, height)
    left, top = max(0, math.floor(left)), max(0, math.floor(top))
    right, bottom = min(width, math.ceil(right)), min(height, math.ceil(bottom))
    if right <= left or bottom <= top:
        raise DataError(
            f"Box {box} has no area inside its image of {width} x {height} pixels. Expected left "
            f"< right and top < bottom inside the image. Correct the annotation or remove the box."
        )
    longer = max(right - left, bottom - top)
    new_width, new_height = (  # halves are rounded up, in whole numbers: exact in every language
        max(1, (2 * image_size * side + longer) // (2 * longer))
        for side in (right - left, bottom - top)
    )
    return Letterbox(
        left=left,
        top=top,
        width=right - left,
        height=bottom - top,
        offset_x=(image_size - new_width) // 2,
        offset_y=(image_size - new_height) // 2,
        new_width=new_width,
        new_height=new_height,
    )


def prepare(sample: Sample, image_size: int) -> PreparedSample:
    """Return the sample as the network takes it.

    Resizing is bilinear with antialiasing on uint8. A landmark that the crop leaves out becomes
    truncated. Features stay as they are.

    Args:
        sample: As a data set gives it.
        image_size: Side of the square in pixels.
    """
    if sample.features is not None:
        return PreparedSample(torch.from_numpy(sample.features.copy()), torch.zeros(0, 3))
    height, width = sample.image.shape[:2]
    letterbox = fit_letterbox(width, height, image_size, box=sample.box)
    rows = slice(letterbox.top, letterbox.top + letterbox.height)
    columns = slice(letterbox.left, letterbox.left + letterbox.width)
    crop = torch.from_numpy(sample.image[rows, columns].copy()).permute(2, 0, 1)
    resized = resize(crop, [letterbox.new_height, letterbox.new_width], antialias=True)
    image = torch.zeros(3, image_size, image_size, dtype=torch.uint8)
    top, left = letterbox.offset_y, letterbox.offset_x
    image[:, top : top + letterbox.new_height, left : left + letterbox.new_width] = resized
    return PreparedSample(image, _place_landmarks(sample.landmarks, letterbox))


def prepare_all(samples: Iterable[Sample], image_size: int) -> Tensor:
    """Return samples of one kind as the network takes them, one after the other.

    Args:
        samples: At least one.
        image_size: S, side of the square in pixels.

    Returns:
        Images ``(B, 3, S, S)``, uint8, or features ``(B, F)``, float32.
    """
    return torch.stack([prepare(one, image_size).image for one in samples])


def _place_landmarks(landmarks: NDArray[np.float32] | None, letterbox: Letterbox) -> Tensor:
    if landmarks is None:
        return torch.zeros(0, 3)
    inside = (
        (landmarks[:, 0] >= letterbox.left - 0.5)
        & (landmarks[:, 1] >= letterbox.top - 0.5)
        & (landmarks[:, 0] <= letterbox.left + letterbox.width - 0.5)
        & (landmarks[:, 1] <= letterbox.top + letterbox.height - 0.5)
    )
    visibility = np.where(
        inside, landmarks[:, 2], np.minimum(landmarks[:, 2], Visibility.TRUNCATED)
    )
    placed = np.concatenate([letterbox.place(landmarks[:, :2]), visibility[:, None]], axis=1)
    return torch.from_numpy(placed.astype(np.float32))
