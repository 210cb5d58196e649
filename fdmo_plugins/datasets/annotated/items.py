"""Labelled garments in images as a few arrays, so that hundreds of thousands stay small."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from fdmo_core import Visibility
from fdmo_plugins.datasets.table.rows import PackedTexts

MAX_COORDINATE = 65_535  # pixels; a JPEG file has no longer side
FAR_SIDES = 10  # box sides away from its box, a landmark cannot belong to the garment
FAR_PIXELS = 300  # beyond that, so that a tiny box judges nothing


@dataclass(frozen=True)
class Items:
    """Garments, each in one image; N of them with P landmarks.

    Attributes:
        paths: Of the images, relative to the root of the data set.
        numbers: Which garment of its image, from 1; 0 where an image shows one. Shape ``(N,)``,
            int16.
        labels: Shape ``(N,)``, int64.
        sizes: Of the image files in bytes. Shape ``(N,)``, int64.
        boxes: Left, top, right, bottom in pixels. Shape ``(N, 4)``, float32.
        points: x, y and a :class:`Visibility` of the landmarks that there are, item after item.
            Shape ``(P, 3)``, float32.
        slots: Which landmark each point is. Shape ``(P,)``, int16.
        ends: Where the points of an item end. Shape ``(N,)``, int64.
    """

    paths: PackedTexts
    numbers: NDArray[np.int16]
    labels: NDArray[np.int64]
    sizes: NDArray[np.int64]
    boxes: NDArray[np.float32]
    points: NDArray[np.float32]
    slots: NDArray[np.int16]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        """Return N."""
        return len(self.labels)

    def landmarks(self, index: int, num_landmarks: int) -> NDArray[np.float32]:
        """Return the landmarks of an item, absent where there are none. Shape ``(K, 3)``."""
        start = int(self.ends[index - 1]) if index else 0
        own = slice(start, int(self.ends[index]))
        landmarks = np.zeros((num_landmarks, 3), dtype=np.float32)
        landmarks[self.slots[own]] = self.points[own]
        return landmarks

    def taken(self, rows: NDArray[np.int64]) -> "Items":
        """Return some of the items, as arrays of their own."""
        points, ends = _parts(self.ends, rows)
        return Items(
            paths=_joined([self.paths.encoded(row) for row in rows.tolist()]),
            numbers=self.numbers[rows],
            labels=self.labels[rows],
            sizes=self.sizes[rows],
            boxes=self.boxes[rows],
            points=self.points[points],
            slots=self.slots[points],
            ends=ends,
        )


def packed(texts: Sequence[str]) -> PackedTexts:
    """Return texts as one block of bytes."""
    return _joined([text.encode() for text in texts])


def concatenated(first: Items, second: Items) -> Items:
    """Return the items of both."""
    columns = {
        field.name: np.concatenate([getattr(first, field.name), getattr(second, field.name)])
        for field in fields(Items)
        if field.name not in {"paths", "ends"}
    }
    return Items(
        paths=PackedTexts(
            first.paths.block + second.paths.block,
            _ends_after(first.paths.ends, second.paths.ends, len(first.paths.block)),
        ),
        ends=_ends_after(first.ends, second.ends, len(first.points)),
        **columns,
    )


def box_faults(boxes: NDArray[np.float32]) -> dict[int, str]:
    """Return which boxes cannot be cropped to, whatever the size of their image.

    Args:
        boxes: Shape ``(N, 4)``.
    """
    left, top, right, bottom = boxes.T
    usable = (np.abs(boxes) <= MAX_COORDINATE).all(axis=1)  # not NaN
    usable &= (left < right) & (top < bottom) & (right > 0) & (bottom > 0)
    return {
        row: f"The box is {', '.join(f'{side:g}' for side in boxes[row])}. Expected left < right "
        f"and top < bottom, in pixels of the image."
        for row in np.flatnonzero(~usable).tolist()
    }


def landmark_faults(
    boxes: NDArray[np.float32], points: NDArray[np.float32], ends: NDArray[np.int64]
) -> dict[int, str]:
    """Return the items with a landmark that cannot be theirs.

    Args:
        boxes: Shape ``(N, 4)``.
        points: As in :class:`Items`. Shape ``(P, 3)``.
        ends: As in :class:`Items`. Shape ``(N,)``.
    """
    items = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))  # (P,)
    is_far = np.zeros(len(points), dtype=bool)
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    reach = (FAR_SIDES * sides + FAR_PIXELS)[items]
    for axis in (0, 1):
        place, low, high = points[:, axis], boxes[items, axis], boxes[items, axis + 2]
        is_far |= (place < low - reach) | (place > high + reach)
    is_far &= points[:, 2] >= Visibility.OCCLUDED  # the place of a truncated one means nothing
    is_far |= ~(np.abs(points[:, :2]) <= MAX_COORDINATE).all(axis=1)
    return {
        int(items[at]): f"A landmark is at {points[at, 0]:g}, {points[at, 1]:g}, far outside the "
        f"box {', '.join(f'{side:g}' for side in boxes[items[at]])}. Expected it on the garment."
        for at in np.flatnonzero(is_far)[::-1].tolist()
    }


def digest_of(splits: Iterable[Items], names: Iterable[str]) -> str:
    """Return a digest of all that decides what a sample holds, but for the bytes of the images.

    Args:
        splits: In the order train, val, test.
        names: Of classes and landmarks.
    """
    total = blake2b(digest_size=32)
    for name in names:
        total.update(f"{name}\0".encode())
    for items in splits:
        total.update(items.paths.block)
        columns = [getattr(items, field.name) for field in fields(items)[1:]]
        for column in chain([items.paths.ends], columns):
            total.update(f"{column.shape}".encode())
            total.update(np.ascontiguousarray(column, column.dtype.newbyteorder("<")).data)
    return total.hexdigest()


def _ends_after(
    first: NDArray[np.int64], second: NDArray[np.int64], shift: int
) -> NDArray[np.int64]:
    return np.concatenate([first, second + shift])


def _joined(encoded: Sequence[bytes]) -> PackedTexts:
    lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    return PackedTexts(b"".join(encoded), np.cumsum(lengths))


def _parts(
    ends: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of the given rows' entries in a ragged column, and the rows' new ends."""
    lengths = np.diff(ends, prepend=0)[rows]
    new_ends = np.cumsum(lengths)
    shifts = (ends[rows] - lengths) - (new_ends - lengths)
    return np.repeat(shifts, lengths) + np.arange(lengths.sum()), new_ends
