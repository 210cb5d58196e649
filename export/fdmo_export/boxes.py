"""Boxes of what is to be classified, checked against the images that they are of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdmo_core.errors import DataError, ShapeError

ADVICE = "Give each as left, top, right, bottom in pixels"


def read_boxes(
    boxes: ArrayLike | Sequence[ArrayLike | None] | None, *, images: int
) -> list[NDArray[np.float32] | None]:
    """Return a box for each image, or None for the whole of it.

    Args:
        boxes: Left, top, right, bottom of each image in pixels; None is the whole image. Shape
            ``(B, 4)``.
        images: B.

    Raises:
        ShapeError: They are not as many, or not four numbers each.
    """
    if boxes is None:
        return [None] * images
    found = [_read_box(one, index) for index, one in enumerate(_rows(boxes))]
    if len(found) != images:
        raise ShapeError(
            f"There are {len(found)} boxes for {images} images. Expected one an image. {ADVICE}, "
            f"or None for a whole image."
        )
    return found


def _rows(boxes: Any) -> Sequence[Any]:
    try:
        return list(boxes)
    except TypeError as error:
        raise ShapeError(f"Boxes are {boxes!r}. Expected one an image. {ADVICE}.") from error


def _read_box(box: Any, index: int) -> NDArray[np.float32] | None:
    if box is None:
        return None
    try:
        array = np.asarray(box, dtype=np.float32)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=np.float32)
    if array.shape != (4,):
        raise ShapeError(f"Box {index} is {box!r}. Expected four numbers. {ADVICE}.")
    return array


def clip_box(
    box: NDArray[np.float32] | None, shape: tuple[int, ...], *, index: int
) -> NDArray[np.float32]:
    """Return the part of a box that is inside its image. Shape ``(4,)``, float32.

    Args:
        box: Left, top, right, bottom; None is the whole image.
        shape: Height and width of the image, first.
        index: How messages call the box.

    Raises:
        DataError: It is not finite, or holds nothing of the image.
    """
    height, width = shape[:2]
    if box is None:
        return np.array([0, 0, width, height], dtype=np.float32)
    left, top, right, bottom = box.tolist()
    clipped = np.clip(box, 0, [width, height, width, height]).astype(np.float32)
    has_area = clipped[2] > clipped[0] and clipped[3] > clipped[1]  # not where one is NaN
    if not has_area or not np.isfinite(box).all():
        raise DataError(
            f"Box {index} is {[left, top, right, bottom]} in an image of {width} x {height} "
            f"pixels. Expected finite numbers with right > left and bottom > top, at least partly "
            f"inside the image. {ADVICE}."
        )
    return clipped


def require_boxes(boxes: NDArray[np.float32], images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the boxes of a batch, checked.

    Args:
        boxes: Shape ``(B, 4)`` or ``(1, 4)``.
        images: Shape ``(B, H, W, 3)``.

    Raises:
        ShapeError: They have another shape.
        DataError: One is not finite, or holds nothing of its image.
    """
    array = np.asarray(boxes, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] != 4 or len(array) not in (1, len(images)):
        raise ShapeError(
            f"Boxes have shape {array.shape} for {len(images)} images. Expected "
            f"({len(images)}, 4), or (1, 4) for one that holds for all. {ADVICE}."
        )
    return np.stack([clip_box(one, images.shape[1:], index=row) for row, one in enumerate(array)])
