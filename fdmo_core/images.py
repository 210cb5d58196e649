"""Reads an image file of any common kind as upright RGB pixels."""

from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fdmo_core.errors import DataError

# Pillow tries these by content, whatever a file is called. Its other readers stay shut: a file
# that says it is PostScript, for instance, would be handed to an external program.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

MAX_FILE_BYTES = 2**29  # an image of the default max_pixels has a quarter of that, uncompressed


def read_rgb(source: Path | BinaryIO, *, max_pixels: int) -> NDArray[np.uint8]:
    """Return the pixels of an image file as a person sees it in a viewer, on black.

    The orientation in its EXIF data is applied. Grey, palette and CMYK images become RGB by
    Pillow's conversion, without colour management; 16-bit grey is scaled to 8 bits. What is
    transparent lets black through, the colour of the border that pads an image to a square. Of an
    animation the first frame counts.

    Args:
        source: Path of the file, or the file itself, open for reading bytes.
        max_pixels: Width times height above which the image is refused before it is decoded.

    Returns:
        Shape ``(H, W, 3)``, writable.

    Raises:
        DataError: The file is missing, empty, truncated, too large, or no image that is supported.
    """
    if not isinstance(source, Path):
        return _decode(source, "The image", max_pixels)
    try:
        with source.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # the latter of a name with a null byte
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(
            f"Image '{source}' cannot be opened ({reason}). Expected a readable file. "
            f"Check the path and its permissions."
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise DataError(
            f"Image '{source}' has more than {MAX_FILE_BYTES} bytes. Expected an image, which is "
            f"smaller. Replace or delete the file."
        )
    return _decode(BytesIO(content), f"Image '{source}'", max_pixels)


def _decode(file: BinaryIO, name: str, max_pixels: int) -> NDArray[np.uint8]:
    if not file.read(1):
        raise DataError(
            f"{name} is empty (0 bytes). Expected an image file. Replace or delete the file."
        )
    file.seek(0)
    try:
        with Image.open(file, formats=FORMATS) as image:
            _check_size(image, name, max_pixels)
            ImageOps.exif_transpose(image, in_place=True)
            return _rgb(image, name)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name} is no image of a known kind. Expected one of {', '.join(FORMATS)}. "
            f"Convert, replace or delete the file."
        ) from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, whatever max_pixels is
        raise DataError(
            f"{name} has too many pixels ({error}). Expected at most {max_pixels} (max_pixels). "
            f"Scale the image down."
        ) from error
    except Exception as error:  # a broken file makes Pillow's parsers raise nearly anything
        raise DataError(
            f"{name} is truncated or broken ({type(error).__name__}: {error}). Expected a file "
            f"that decodes to its end. Replace or delete the file."
        ) from error


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise DataError(
            f"{name} has {image.width} x {image.height} pixels. Expected at most {max_pixels} "
            f"(max_pixels). Scale the image down or raise the limit."
        )


def _rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):  # "I;16" in either byte order, or 16 bits held in 32
        return _scaled_grey(np.asarray(image), name)
    if image.mode == "F":
        raise DataError(
            f"{name} has floating-point pixels. Expected 8 or 16 bits a channel, whose white is "
            f"known. Convert the file."
        )
    if not image.has_transparency_data:
        return np.array(image.convert("RGB"))
    layer = image.convert("RGBA")
    canvas = Image.new("RGB", layer.size)
    canvas.paste(layer, mask=layer.getchannel("A"))
    return np.array(canvas)


def _scaled_grey(values: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    wide = values.astype(np.int64)  # (H, W)
    if wide.min() < 0 or wide.max() > 65535:
        raise DataError(
            f"{name} has grey values from {wide.min()} to {wide.max()}. Expected 0 to 65535, 16 "
            f"bits. Convert the file."
        )
    grey = ((wide * 255 + 32767) // 65535).astype(np.uint8)
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
