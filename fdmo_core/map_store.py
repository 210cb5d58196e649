"""Conv maps on disk: raw memory-mapped shards and a manifest that is written last."""

import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fdmo_core.errors import DataError
from fdmo_core.files import cannot_write, write_json
from fdmo_core.json_files import read_json

FORMAT_VERSION = 1
SHARD_BYTES = 2**36  # 64 GiB: an open file for each shard, of which a process may have 1024
MANIFEST_FILE = "manifest.json"
LANDMARKS_FILE = "landmarks.bin"
LARGEST = 2**40  # of any number in a layout; a damaged manifest may say anything
DTYPES = {"fp16": "<f2", "fp32": "<f4"}


class StoreLayout(NamedTuple):
    """What decides the size of a store.

    Attributes:
        rows: R, how many maps.
        channels, height, width: Of a map.
        num_landmarks: K.
        precision: ``"fp16"`` or ``"fp32"``.
    """

    rows: int
    channels: int
    height: int
    width: int
    num_landmarks: int
    precision: str

    @property
    def row_bytes(self) -> int:
        """Bytes of one map."""
        values = self.channels * self.height * self.width
        return values * np.dtype(DTYPES[self.precision]).itemsize

    @property
    def rows_a_shard(self) -> int:
        """Maps in every shard but the last."""
        return max(1, SHARD_BYTES // self.row_bytes)

    @property
    def shard_starts(self) -> list[int]:
        """First row of each shard, and the end of the last."""
        return [*range(0, self.rows, self.rows_a_shard), self.rows]

    @property
    def num_bytes(self) -> int:
        """Bytes of the whole store, but for its manifest."""
        return sum(self.file_sizes().values())

    def file_sizes(self) -> dict[str, int]:
        """Return the bytes of each file but the manifest, by name.

        Raises:
            ValueError: A number is out of range.
        """
        sides = (self.rows, self.channels, self.height, self.width)
        if min(sides) < 1 or max(sides) > LARGEST or not 0 <= self.num_landmarks <= LARGEST:
            raise ValueError(f"No store has the layout {self}.")
        sizes = {
            _shard_name(index): (end - start) * self.row_bytes
            for index, (start, end) in enumerate(pairwise(self.shard_starts))
        }
        if self.num_landmarks:
            sizes[LANDMARKS_FILE] = self.rows * self.num_landmarks * 12
        return sizes


class MapStore:
    """Maps with their landmarks, read by row number without loading the rest.

    Maps lie with the channels last, as convolutions on a CPU want them.

    Args:
        folder: Where the files are.
        layout: What they hold.
        mode: ``"r+"`` while it is filled, ``"c"`` afterwards (memory of one's own, never written).
    """

    def __init__(self, folder: Path, layout: StoreLayout, *, mode: str = "c") -> None:
        self.layout = layout
        self._folder = folder
        shape = (layout.height, layout.width, layout.channels)
        self._mapped: list[NDArray[Any]] = [
            np.memmap(
                folder / _shard_name(index),
                dtype=DTYPES[layout.precision],
                mode=mode,  # type: ignore[call-overload]  # one of numpy's modes
                shape=(end - start, *shape),
            )
            for index, (start, end) in enumerate(pairwise(layout.shard_starts))
        ]
        self._shards = [torch.from_numpy(mapped) for mapped in self._mapped]
        landmarks = (layout.rows, layout.num_landmarks, 3)
        self._landmarks: NDArray[Any] = (
            np.memmap(folder / LANDMARKS_FILE, dtype="<f4", mode=mode, shape=landmarks)  # type: ignore[call-overload]
            if layout.num_landmarks
            else np.empty(landmarks, dtype=np.float32)
        )

    @classmethod
    def create(cls, folder: Path, layout: StoreLayout) -> "MapStore":
        """Return an empty store whose space on the disk is taken.

        Raises:
            RunFolderError: The disk lacks the space.
        """
        folder.mkdir(parents=True)
        for name, size in layout.file_sizes().items():
            _reserve(folder / name, size)
        return cls(folder, layout, mode="r+")

    def write(self, start: int, maps: Tensor, landmarks: Tensor) -> None:
        """Write consecutive rows.

        Args:
            start: The first row.
            maps: Shape ``(B, M, H, W)``, on the CPU, finite.
            landmarks: Shape ``(B, K, 3)``, float32.

        Raises:
            DataError: A value does not fit the precision.
        """
        values = maps.permute(0, 2, 3, 1).to(self.dtype)
        if not values.isfinite().all():
            raise DataError(
                f"A map of the frozen prefix reaches {maps.abs().max():.4g}. Expected finite "
                f"numbers that {self.layout.precision} holds. Set cache.precision = 'fp32'."
            )
        for row, value in enumerate(values, start):
            shard, place = divmod(row, self.layout.rows_a_shard)
            self._shards[shard][place] = value
        self._landmarks[start : start + len(maps)] = landmarks.numpy()

    def flush(self) -> None:
        """Have all that was written reach the disk."""
        for array in (*self._mapped, self._landmarks):
            if isinstance(array, np.memmap):
                array.flush()

    def read(self, rows: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Return maps ``(B, M, H, W)``, channels last, and landmarks ``(B, K, 3)``, float32.

        Args:
            rows: Shape ``(B,)``, int64.
            dtype: Of the maps.
        """
        layout = self.layout
        shape = (len(rows), layout.height, layout.width, layout.channels)
        values = torch.empty(shape, dtype=dtype)
        for value, row in zip(values, rows.tolist(), strict=True):
            shard, place = divmod(row, layout.rows_a_shard)
            value.copy_(self._shards[shard][place])  # converts on the way, 1.6 times as fast
        landmarks = torch.from_numpy(self._landmarks[rows.numpy()].astype(np.float32))
        return values.permute(0, 3, 1, 2), landmarks

    @property
    def dtype(self) -> torch.dtype:
        """How the maps lie on the disk."""
        return torch.float16 if self.layout.precision == "fp16" else torch.float32


def finish_store(folder: Path, layout: StoreLayout, origin: Mapping[str, Any]) -> None:
    """Write the manifest, which makes the store one that can be opened."""
    content = {"format": FORMAT_VERSION, "layout": layout._asdict(), "origin": dict(origin)}
    write_json(folder / MANIFEST_FILE, content)


def open_store(folder: Path, origin: Mapping[str, Any]) -> MapStore | None:
    """Return a finished store of the given origin, or None for anything else.

    A store that was never finished, is of another version or origin, or whose files have other
    sizes is none.
    """
    try:
        manifest = read_json(folder / MANIFEST_FILE)
        if manifest["format"] != FORMAT_VERSION or manifest["origin"] != origin:
            return None
        layout = StoreLayout(**manifest["layout"])
        sizes = layout.file_sizes()
        if any((folder / name).stat().st_size != size for name, size in sizes.items()):
            return None
        return MapStore(folder, layout)
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, MemoryError):
        return None


def _shard_name(index: int) -> str:
    return f"maps-{index:05d}.bin"


def _reserve(path: Path, size: int) -> None:
    """Take the space on the disk: while a file is mapped, a full disk would kill the process."""
    try:
        with path.open("xb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                for start in range(0, size, 2**24):
                    file.write(bytes(min(2**24, size - start)))
    except OSError as error:
        raise cannot_write(path, error) from error
