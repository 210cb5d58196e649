"""Reads every sample of a data set once and says what is wrong with it.

An error is what stops training or makes its figures wrong; a warning is what training takes as it
is. Memory, beside the data set itself: 16 bytes a sample while samples are read, up to 80 while
equal ones are looked for; for each fault that is listed, and each sample to leave out, some 500.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from fdmo_core.data_report import DataReport, Fault, Faults, add_class_faults
from fdmo_core.errors import DataError
from fdmo_core.journal import Journal
from fdmo_core.preprocessing import fit_letterbox
from fdmo_core.samples import Sample, Split, Splits, Visibility

DIGEST_BYTES = 16
READ_TOGETHER = 16  # samples that one request to a worker asks for
MAX_NAMED = 20  # equal samples that one fault names


class Look(NamedTuple):
    """What reading one sample told.

    Attributes:
        digest: Of its pixels and its box; empty where it cannot be read.
        faults: Kind and reason of what is wrong with it.
    """

    digest: bytes
    faults: tuple[tuple[str, str], ...]


def look_at(split: Split, index: int) -> Look:
    """Read one sample and return what is wrong with it."""
    try:
        sample = split[index]
        box = _digest_and_box_faults(sample)
    except Exception as error:  # whatever a stranger's data set raises is what is wrong with it
        reason = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
        return Look(b"", (("unreadable", reason),))
    return Look(box.digest, box.faults + _landmark_faults(sample))


def _digest_and_box_faults(sample: Sample) -> Look:
    image = sample.image
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(
            f"The image has shape {image.shape} and dtype {image.dtype}. Expected (H, W, 3) and "
            f"uint8. Correct the data set."
        )
    height, width = image.shape[:2]
    box = sample.box or (0.0, 0.0, float(width), float(height))
    total = blake2b(struct.pack("<2q4d", height, width, *box), digest_size=DIGEST_BYTES)
    total.update(np.ascontiguousarray(image).data)
    return Look(total.digest(), _box_faults(box, width, height))


def _box_faults(
    box: tuple[float, float, float, float], width: int, height: int
) -> tuple[tuple[str, str], ...]:
    if not np.isfinite(box).all():
        return (("empty-box", f"Box {box} has a side that is no number. Expected pixels."),)
    try:
        fit_letterbox(width, height, 1, box=box)
    except DataError as error:
        return (("empty-box", str(error)),)
    left, top, right, bottom = box
    if left < 0 or top < 0 or right > width or bottom > height:
        reason = f"Box {box} reaches out of its image of {width} x {height} pixels."
        return (("box-outside", reason),)
    return ()


def _landmark_faults(sample: Sample) -> tuple[tuple[str, str], ...]:
    if sample.landmarks is None:
        return ()
    height, width = sample.image.shape[:2]
    x, y, visibility = sample.landmarks.T
    inside = (x >= -0.5) & (y >= -0.5) & (x <= width - 0.5) & (y <= height - 0.5)
    outside = np.flatnonzero(~inside & (visibility >= Visibility.OCCLUDED)).tolist()
    if not outside:
        return ()
    places = ", ".join(f"{index} at ({x[index]:g}, {y[index]:g})" for index in outside)
    reason = f"Landmarks outside the image of {width} x {height} pixels, by index: {places}."
    return (("landmark-outside", reason),)


@dataclass(frozen=True)
class _Parts:
    """A split in parts; picklable, for worker processes."""

    split: Split
    size: int  # a split may count anew whenever it is asked for its labels

    def __len__(self) -> int:
        return -(-self.size // READ_TOGETHER)

    def __getitem__(self, part: int) -> list[Look]:
        end = min((part + 1) * READ_TOGETHER, self.size)
        return [look_at(self.split, index) for index in range(part * READ_TOGETHER, end)]


def _as_it_is(part: list[Look]) -> list[Look]:
    return part


def check_data(splits: Splits, *, workers: int, journal: Journal) -> DataReport:
    """Return what is wrong with a data set.

    Two samples are equal if their pixels and their boxes are.

    Args:
        splits: The data set; each sample is read once.
        workers: Processes that read; 0 reads in this one.
        journal: Told how far it has come.

    Raises:
        DataError: The data are features.
    """
    if splits.feature_dim:
        raise DataError(
            "The data are features. Expected images, of which each is read and looked at. Features "
            "are checked whenever they are opened, so train on them."
        )
    faults, leave_out = Faults(), dict[str, dict[str, None]]()
    add_class_faults(faults, splits)
    digests: dict[str, NDArray[np.uint8]] = {}
    for name, split in splits.named().items():
        leave_out[name] = {}
        digests[name] = np.zeros((len(split.labels), DIGEST_BYTES), dtype=np.uint8)
        for index, look in enumerate(_looks(name, split, workers=workers, journal=journal)):
            if look.digest:
                digests[name][index] = np.frombuffer(look.digest, dtype=np.uint8)
            for kind, reason in look.faults:
                faults.add(kind, Fault([(name, split.source(index))], reason))
                if kind in {"unreadable", "empty-box"}:
                    leave_out[name][split.source(index)] = None
    labels = {name: split.labels for name, split in splits.named().items()}
    for group in _equal_samples(digests):
        _add_equal_samples(faults, leave_out, splits, labels, group)
    return DataReport(
        class_names=splits.class_names,
        counts={name: splits.counts(name) for name in splits.named()},
        digest=splits.digest,
        faults=faults,
        leave_out={name: list(sources) for name, sources in leave_out.items()},
    )


def _looks(name: str, split: Split, *, workers: int, journal: Journal) -> Iterator[Look]:
    done, total = 0, len(split.labels)
    parts: Iterable[list[Look]] = DataLoader(
        _Parts(split, total),  # type: ignore[arg-type]  # asks for no more than these two methods
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
    )
    for part in parts if total else ():
        yield from part
        done += len(part)
        journal.progress(f"check {name}", done, total)


def _equal_samples(digests: Mapping[str, NDArray[np.uint8]]) -> Iterator[list[tuple[str, int]]]:
    """Yield the samples of each digest that comes more than once, as split and index."""
    names = list(digests)
    ends = np.cumsum([len(digests[name]) for name in names])
    halves = np.concatenate(list(digests.values())).view(np.uint64)  # (N, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    halves = halves[order]
    starts = np.flatnonzero((halves[1:] != halves[:-1]).any(axis=1)) + 1
    bounds = np.concatenate([[0], starts, [len(order)]])
    for group in np.flatnonzero(np.diff(bounds) > 1).tolist():
        if not halves[bounds[group]].any():
            continue  # those that cannot be read
        members = np.sort(order[bounds[group] : bounds[group + 1]])
        parts = np.searchsorted(ends, members, side="right")
        starts_of = ends - [len(digests[name]) for name in names]
        yield [
            (names[part], int(member - starts_of[part]))
            for part, member in zip(parts.tolist(), members.tolist(), strict=True)
        ]


def _add_equal_samples(
    faults: Faults,
    leave_out: Mapping[str, dict[str, None]],
    splits: Splits,
    labels_of: Mapping[str, NDArray[np.int64]],
    group: list[tuple[str, int]],
) -> None:
    """Add the faults of equal samples, and which of them to leave out.

    Nobody knows which of two labels is right, so that all samples go. Of two splits the later one
    keeps its sample: a test split stays what it was.
    """
    named = splits.named()
    where = [(name, named[name].source(index)) for name, index in group]
    labels = sorted({int(labels_of[name][index]) for name, index in group})
    in_splits = list(dict.fromkeys(name for name, _ in group))
    fault = f"{len(group)} equal samples"
    if len(labels) > 1:
        classes = ", ".join(splits.class_names[label] for label in labels)
        faults.add("two-labels", Fault(where[:MAX_NAMED], f"{fault} of the classes {classes}."))
    if len(in_splits) > 1:
        reason = f"{fault} in the splits {', '.join(in_splits)}."
        faults.add("across-splits", Fault(_named_of_each(where, in_splits), reason))
    if len(group) > len(in_splits) and len(labels) == 1:
        faults.add("repeated", Fault(where[:MAX_NAMED], f"{fault}."))
    for name, source in where:
        if len(labels) > 1 or name != in_splits[-1]:
            leave_out[name][source] = None


def _named_of_each(where: list[tuple[str, str]], splits: list[str]) -> list[tuple[str, str]]:
    """Return some samples of each split, so that a fault across splits names both sides."""
    most = MAX_NAMED // len(splits)
    return [one for name in splits for one in [two for two in where if two[0] == name][:most]]
