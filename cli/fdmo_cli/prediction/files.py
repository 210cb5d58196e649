"""Which files are to be classified."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
FROM_STDIN = "-"


def list_files(paths: Iterable[str], stdin: BinaryIO) -> Iterator[str]:
    """Yield the files that paths stand for, in order.

    A folder stands for the images below it, sorted; hidden ones are left out. ``-`` stands for the
    names on stdin, one a line. What is not there, or is a folder that cannot be listed, is yielded
    as it is: opening it tells why.

    Args:
        paths: As they were given.
        stdin: Names as bytes, which need not be UTF-8.
    """
    for path in paths:
        if path == FROM_STDIN:
            yield from (os.fsdecode(line.rstrip(b"\r\n")) for line in stdin if line.strip())
        elif Path(path).is_dir():
            yield from _images_below(path)
        else:
            yield path


def _images_below(root: str) -> Iterator[str]:
    unlisted: list[str] = []
    for folder, below, names in os.walk(
        root, onerror=lambda error: unlisted.append(error.filename)
    ):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield os.path.join(folder, name)  # noqa: PTH118  # "./a.jpg" stays as it is
    yield from unlisted
