"""Reads idx files, the format of MNIST and its successors, plain or compressed by gzip."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdmo_core import DataError

UNSIGNED_BYTE = 0x0800  # the magic number is the type of the values plus the number of dimensions


def find_idx(folder: Path, name: str) -> Path | None:
    """Return the file of that name in a folder, or else the same with ``.gz``, or else None."""
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)


def read_idx(path: Path, *, item_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the values of an idx file of unsigned bytes.

    Source: LeCun, Cortes, Burges, "The MNIST database": a magic number and the size of every
    dimension, each 32 bits, big-endian, then the values.

    Args:
        path: The file; it is compressed if its name ends in ``.gz``.
        item_shape: Shape of one item, empty for labels.

    Returns:
        Shape ``(N, *item_shape)``, read-only.

    Raises:
        DataError: The file is unreadable, truncated, or holds something else.
    """
    content = _read(path)
    num_dims = 1 + len(item_shape)
    header_size = 4 * (1 + num_dims)
    if len(content) < header_size:
        raise _broken(path, f"has {len(content)} bytes", f"a header of {header_size} bytes")
    magic, *sizes = (int(value) for value in np.frombuffer(content, ">u4", 1 + num_dims))
    if magic != UNSIGNED_BYTE + num_dims:
        expected = f"{UNSIGNED_BYTE + num_dims:#06x}, unsigned bytes in {num_dims} dimension(s)"
        raise _broken(path, f"has the magic number {magic:#06x}", expected)
    if tuple(sizes[1:]) != item_shape:
        raise _broken(path, f"has items of shape {tuple(sizes[1:])}", f"items of {item_shape}")
    expected_size = header_size + math.prod(sizes)
    if len(content) != expected_size:
        expected = f"{expected_size} bytes for the {sizes[0]} items that its header announces"
        raise _broken(path, f"has {len(content)} bytes", expected)
    return np.frombuffer(content, np.uint8, offset=header_size).reshape(sizes)


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise _broken(path, f"cannot be read ({error})", "a readable, whole file") from error


def _broken(path: Path, wrong: str, expected: str) -> DataError:
    return DataError(
        f"'{path}' {wrong}. Expected {expected}. Copy or download the file again, or set data.root "
        f"to another folder."
    )
