"""Images as an application has them, arrays, files or bytes, and batches of images of any sizes."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdmo_core.errors import DataError, ShapeError
from fdmo_core.images import read_rgb
from fdmo_export.inputs import require_pixels

Picture = NDArray[np.uint8] | Path | str | bytes
"""RGB pixels, shape ``(H, W, 3)``; the path of an image file; or the file's content."""

MAX_PIXELS = 64_000_000
"""Width times height above which an image is refused, as in training."""

BATCH_PIXELS = 16_000_000  # the graph needs some 20 bytes for each
SPARE = 1.25  # padded pixels of a batch for each of the images' own


def list_pictures(images: Picture | Sequence[Picture]) -> Sequence[Picture]:
    """Return one image, a batch ``(B, H, W, 3)`` or a sequence of images as a sequence."""
    if isinstance(images, np.ndarray):
        return list(images) if images.ndim > 3 else [images]
    if isinstance(images, Sequence) and not isinstance(images, str | bytes):
        return images
    return [images]


def read_picture(picture: Picture, *, max_pixels: int, index: int = 0) -> NDArray[np.uint8]:
    """Return the pixels of an image. Shape ``(H, W, 3)``, uint8.

    Args:
        picture: The image. Files are decoded as in training.
        max_pixels: Width times height above which it is refused.
        index: How messages call an image without a name.

    Raises:
        DataError: A file cannot be read, or an image is too large.
        ShapeError: An array is no RGB image.
    """
    if isinstance(picture, str | Path):
        return read_rgb(Path(picture), max_pixels=max_pixels)
    if isinstance(picture, bytes):
        return read_rgb(BytesIO(picture), max_pixels=max_pixels)
    name = f"Image {index}"
    if not isinstance(picture, np.ndarray):
        raise ShapeError(
            f"{name} is of type {type(picture).__name__}. Expected a numpy array of shape "
            f"(H, W, 3) and type uint8, a path, or the bytes of an image file. Convert it first."
        )
    require_pixels(picture, name, ndim=3)
    height, width, _ = picture.shape
    if height * width > max_pixels:
        raise DataError(
            f"{name} has {width} x {height} pixels. Expected at most {max_pixels} (max_pixels). "
            f"Scale the image down or raise the limit."
        )
    return picture


def pack(shapes: Sequence[tuple[int, ...]], *, batch_size: int) -> Iterator[list[int]]:
    """Yield batches, each the indices of images that may be padded to one size.

    Images of like sizes go together. A batch takes at most 16 million pixels with its padding,
    unless one image alone has more, and a quarter of them at most is padding.

    Args:
        shapes: Height and width of each image, first.
        batch_size: Images in a batch at most.
    """
    batch: list[int] = []
    height = width = own = 0
    for index in sorted(range(len(shapes)), key=lambda one: shapes[one][:2]):
        rows, columns = shapes[index][:2]
        grown = max(height, rows), max(width, columns)
        padded = (len(batch) + 1) * grown[0] * grown[1]
        if batch and (
            len(batch) == batch_size
            or padded > BATCH_PIXELS
            or padded > SPARE * (own + rows * columns)
        ):
            yield batch
            batch, own, grown = [], 0, (rows, columns)
        batch.append(index)
        own += rows * columns
        height, width = grown
    if batch:
        yield batch


def stack(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return images as one batch, padded with zeros to the right and below.

    Returns:
        Shape ``(B, H, W, 3)``, H and W the largest of the images.
    """
    if len({one.shape for one in images}) == 1:
        return images[0][np.newaxis] if len(images) == 1 else np.stack(images)
    height, width = (max(one.shape[axis] for one in images) for axis in (0, 1))
    batch = np.zeros((len(images), height, width, 3), dtype=np.uint8)
    for row, one in zip(batch, images, strict=True):
        row[: one.shape[0], : one.shape[1]] = one
    return batch
