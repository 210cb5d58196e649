"""Reads every image of a folder once, to know which can be trained on."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

from fdmo_core import DataError
from fdmo_core.images import read_rgb

TASK_SIZE = 64  # files a task: a future, which takes 1.6 kB, for every file would be too much


@dataclass(frozen=True)
class ScannedImage:
    """One image file after it was read.

    Attributes:
        path: Relative to the root of the data set, with slashes.
        digest: Of the file's bytes; empty where it cannot be read.
        problem: Why the image cannot be used, or None.
    """

    path: str
    digest: bytes
    problem: str | None


def scan_images(root: Path, paths: Sequence[str], *, max_pixels: int) -> Mapping[str, ScannedImage]:
    """Return what reading each image to its end says, by path.

    Threads read in parallel: Pillow lets go of the interpreter while it decodes.

    Args:
        root: Folder that the paths are relative to.
        paths: Image files.
        max_pixels: As in :func:`fdmo_core.images.read_rgb`.
    """

    def scan_task(start: int) -> list[ScannedImage]:
        return [_scan(root, path, max_pixels) for path in paths[start : start + TASK_SIZE]]

    with ThreadPoolExecutor() as pool:
        tasks = pool.map(scan_task, range(0, len(paths), TASK_SIZE))
        return {image.path: image for task in tasks for image in task}


def _scan(root: Path, path: str, max_pixels: int) -> ScannedImage:
    file = root / path
    if not file.is_file():
        return ScannedImage(path, b"", "The image is a broken link or no regular file.")
    try:
        content = file.read_bytes()
    except OSError as error:
        return ScannedImage(path, b"", f"The image cannot be opened ({error.strerror}).")
    digest = blake2b(content, digest_size=16).digest()
    try:
        read_rgb(BytesIO(content), max_pixels=max_pixels)
    except DataError as error:
        return ScannedImage(path, digest, str(error))
    return ScannedImage(path, digest, None)
