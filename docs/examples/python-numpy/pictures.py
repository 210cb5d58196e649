"""Reads picture files without a library for them: PPM, and arrays that numpy saved."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Width, height and largest value, between spaces and comments; one space ends them.
PPM_HEAD = re.compile(rb"P6(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+255\s")


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Return the pixels of a file, RGB, shape ``(H, W, 3)``.

    Raises:
        ValueError: It is neither a binary PPM file of 8 bits nor a numpy file of such an array.
    """
    pixels = np.load(path, allow_pickle=False) if path.suffix == ".npy" else read_ppm(path)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise ValueError(
            f"{path} holds {pixels.dtype} of shape {pixels.shape}. Expected uint8 (H, W, 3), RGB. "
            f"Convert it."
        )
    return pixels


def read_ppm(path: Path) -> NDArray[np.uint8]:
    """Return the pixels of a binary PPM file of 8 bits."""
    content = path.read_bytes()
    head = PPM_HEAD.match(content)
    if not head:
        raise ValueError(
            f"{path} is no binary PPM file of 8 bits (P6, 255). Expected one, or an array in a "
            f".npy file. Convert it, or decode it with Pillow as the README shows."
        )
    width, height = int(head[1]), int(head[2])
    if len(content) - head.end() < width * height * 3:
        raise ValueError(
            f"{path} ends early. Expected {width} x {height} pixels. Fetch or write it again."
        )
    pixels = np.frombuffer(content, np.uint8, count=width * height * 3, offset=head.end())
    return pixels.reshape(height, width, 3)
