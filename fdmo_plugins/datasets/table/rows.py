"""The rows of a table as arrays, so that many millions fit into memory."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEFT_OUT = -1  # in the column of splits


@dataclass(frozen=True)
class PackedTexts:
    """Texts, one after the other in one block of bytes.

    Attributes:
        block: All texts in UTF-8.
        ends: Where each text ends in the block. Shape ``(N,)``, int64.
    """

    block: bytes
    ends: NDArray[np.int64]

    def encoded(self, index: int) -> bytes:
        """Return one text in UTF-8."""
        start = int(self.ends[index - 1]) if index else 0
        return self.block[start : int(self.ends[index])]

    def __getitem__(self, index: int) -> str:
        """Return one text."""
        return self.encoded(index).decode()


@dataclass(frozen=True)
class Rows:
    """The rows of a table that could be read, in order.

    Attributes:
        numbers: Line or row of the file. Shape ``(N,)``, int64.
        paths: Of the images.
        path_keys: A hash of each path, equal for equal paths. Shape ``(N,)``, int64.
        folder_keys: A hash of the folder of each path. Shape ``(N,)``, int64.
        labels: Index in ``label_names``. Shape ``(N,)``, int32.
        label_names: All labels, in the order in which they come.
        splits: Index in train, val, test, or ``LEFT_OUT``. Shape ``(N,)``, int8.
        boxes: Left, top, right, bottom; NaN where a row has none. Shape ``(N, 4)``, float32, or
            ``(N, 0)`` for a table without boxes.
        landmarks: As :attr:`fdmo_core.Sample.landmarks`. Shape ``(N, K, 3)``, float32.
    """

    numbers: NDArray[np.int64]
    paths: PackedTexts
    path_keys: NDArray[np.int64]
    folder_keys: NDArray[np.int64]
    labels: NDArray[np.int32]
    label_names: tuple[str, ...]
    splits: NDArray[np.int8]
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    def __len__(self) -> int:
        """Return N."""
        return len(self.numbers)


@dataclass(frozen=True)
class ParsedChunk:
    """Some rows on their way into :class:`Rows`, whose attributes these are.

    Attributes:
        encoded_paths: In UTF-8.
    """

    encoded_paths: list[bytes]
    numbers: NDArray[np.int64]
    path_keys: NDArray[np.int64]
    folder_keys: NDArray[np.int64]
    labels: NDArray[np.int32]
    splits: NDArray[np.int8]
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]


def joined_rows(chunks: Iterable[ParsedChunk], label_names: dict[str, int]) -> Rows:
    """Return the rows of all chunks.

    Args:
        chunks: At least one.
        label_names: All labels with their indices; read when the chunks are exhausted.
    """
    block = bytearray()
    lengths: list[NDArray[np.int64]] = []
    names = [field.name for field in fields(ParsedChunk)[1:]]
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for chunk in chunks:
        block += b"".join(chunk.encoded_paths)
        lengths.append(np.array([len(path) for path in chunk.encoded_paths], dtype=np.int64))
        for name in names:
            columns[name].append(getattr(chunk, name))
    joined = {name: np.concatenate(columns.pop(name)) for name in names}
    paths = PackedTexts(bytes(block), np.cumsum(np.concatenate(lengths)))
    return Rows(paths=paths, label_names=tuple(label_names), **joined)
