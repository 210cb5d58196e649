"""The samples of one split of a table, and the digest of all."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdmo_core import Sample
from fdmo_core.images import read_rgb
from fdmo_plugins.datasets.table.rows import PackedTexts, Rows


@dataclass(frozen=True)
class TableSplit:
    """Images that are read from their files when they are asked for.

    Attributes:
        root: Folder that the paths are relative to.
        paths: Of all rows of the table.
        boxes: Of all rows; as in :class:`Rows`.
        landmarks: Of all rows; as in :class:`Rows`.
        rows: Row of each sample. Shape ``(N,)``, int64.
        labels: Shape ``(N,)``, int64.
        max_pixels: As in :func:`fdmo_core.images.read_rgb`.
    """

    root: Path
    paths: PackedTexts
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    max_pixels: int

    def __getitem__(self, index: int) -> Sample:
        """Read one image; errors as in :func:`fdmo_core.images.read_rgb`."""
        row = int(self.rows[index])
        image = read_rgb(self.root / self.paths[row], max_pixels=self.max_pixels)
        landmarks = self.landmarks[row].copy() if self.landmarks.shape[1] else None
        return Sample(image, int(self.labels[index]), self._box(row), landmarks)

    def source(self, index: int) -> str:
        """Return the path as the table has it, with the box where there is one."""
        row = int(self.rows[index])
        box = self._box(row)
        return self.paths[row] + (f" [{', '.join(f'{one:g}' for one in box)}]" if box else "")

    def _box(self, row: int) -> tuple[float, float, float, float] | None:
        if not self.boxes.shape[1] or np.isnan(self.boxes[row, 0]):
            return None
        left, top, right, bottom = self.boxes[row].tolist()
        return left, top, right, bottom


def digest_of(rows: Rows, sizes: NDArray[np.int64], names: Iterable[str]) -> str:
    """Return a digest of all that decides what a sample holds, but for the bytes of the files.

    Args:
        rows: With the final splits.
        sizes: Of the files in bytes. Shape ``(N,)``, int64.
        names: Of classes and landmarks.
    """
    total = blake2b(digest_size=32)
    for name in (*rows.label_names, "", *names):
        total.update(f"{name}\0".encode())
    total.update(rows.paths.block)
    numbers = (rows.paths.ends, rows.labels, rows.splits, sizes, rows.boxes, rows.landmarks)
    for column in numbers:
        total.update(f"{column.shape}".encode())
        total.update(np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<")).data)
    return total.hexdigest()
