"""Reads the annotation files of one folder of DeepFashion2, and looks for their images."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdmo_core import DataError
from fdmo_plugins.datasets.annotated.faults import Faults
from fdmo_plugins.datasets.annotated.file_index import MISSING, REASONS, FileIndex, FolderListing
from fdmo_plugins.datasets.annotated.items import (
    Items,
    box_faults,
    landmark_faults,
    packed,
)
from fdmo_plugins.datasets.deepfashion2.categories import FIRST_SLOTS, MOST_LANDMARKS, LandmarkSlots
from fdmo_plugins.datasets.deepfashion2.parsing import ParsedImage, parse_image
from fdmo_plugins.datasets.layout import printable

TASK_SIZE = 256  # files a task: a future for each would be too much
NUM_THREADS = 2  # one waits for the disk while the other parses; more get in each other's way
MAX_BYTES = 16 << 20  # of a file; those of the released set have some 30 kB

FileResult = ParsedImage | str
"""What a file says, or why it cannot be used."""


@dataclass(frozen=True)
class Annotations:
    """What one folder holds.

    Attributes:
        items: That can be used; labels are ids less one.
        pair_ids: Of each item's image. Shape ``(N,)``, int64.
    """

    items: Items
    pair_ids: NDArray[np.int64]


def read_annotations(
    root: Path, folder: str, *, landmark_slots: LandmarkSlots, faults: Faults
) -> Annotations:
    """Return the items of a folder, in the order of the files' names.

    Args:
        root: Root of the data set.
        folder: ``"train"`` or ``"validation"``.
        landmark_slots: Into how many slots the landmarks go.
        faults: Takes what cannot be used.

    Raises:
        DataError: The folder does not hold annotations and images.
    """
    index = FileIndex(root)
    annos = _listed(index, f"{folder}/annos", ".json")
    images = _listed(index, f"{folder}/image", ".jpg")
    without_annotation = images.keys() - annos.keys()
    faults.update(
        (f"{folder}/image/{stem}.jpg", "The image has no annotation. Expected one in annos/.")
        for stem in sorted(without_annotation)
    )
    builder = _Builder(folder, landmark_slots, faults)
    usable = []
    for stem in sorted(annos):
        size = images.get(stem, MISSING)
        if size > 0:
            usable.append(stem)
        else:
            faults.add(f"{folder}/annos/{stem}.json", f"{stem}.jpg: {REASONS[size]}")
    for stem, result in _parsed_files(root / folder / "annos", usable):
        builder.add(stem, images[stem], result)
    return builder.annotations()


def _listed(index: FileIndex, folder: str, suffix: str) -> dict[str, int]:
    """Return the sizes of the files in a folder by their names without the suffix."""
    listing = index.listing(folder)
    if not isinstance(listing, FolderListing) or listing.path != folder:
        raise DataError(
            f"'{index.root / folder}' is not there or cannot be listed. Expected train/image, "
            f"train/annos, validation/image and validation/annos below data.root, as the archives "
            f"of DeepFashion2 unpack. Correct data.root, or unpack them."
        )
    return {
        printable(name).removesuffix(suffix): size
        for name, size in listing.sizes.items()
        if name.endswith(suffix) and not name.startswith(".")
    }


def _parsed_files(folder: Path, stems: Sequence[str]) -> Iterator[tuple[str, FileResult]]:
    def parse_task(start: int) -> list[FileResult]:
        return [_parsed(folder / f"{stem}.json") for stem in stems[start : start + TASK_SIZE]]

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        results = pool.map(parse_task, range(0, len(stems), TASK_SIZE))
        yield from zip(stems, (one for task in results for one in task), strict=True)


def _parsed(file: Path) -> FileResult:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        return f"The file cannot be opened ({error.strerror}). Expected a readable file."
    if len(content) > MAX_BYTES:
        return f"The file has more than {MAX_BYTES} bytes. Expected the annotation of one image."
    try:
        return parse_image(content)
    except DataError as error:
        return str(error)


class _Builder:
    """Collects the items of parsed files."""

    def __init__(self, folder: str, landmark_slots: LandmarkSlots, faults: Faults) -> None:
        self._folder = folder
        self._faults = faults
        of_all = landmark_slots != MOST_LANDMARKS
        self._first_slots = FIRST_SLOTS if of_all else (0,) * len(FIRST_SLOTS)
        self._paths: list[str] = []
        self._rows: list[tuple[int, int, int, int, int]] = []
        # As bytes: hundreds of thousands of small arrays would take several times the memory.
        self._boxes, self._points, self._slots = bytearray(), bytearray(), bytearray()

    def add(self, stem: str, size: int, result: FileResult) -> None:
        where = f"{self._folder}/annos/{stem}.json"
        if isinstance(result, str):
            self._faults.add(where, result)
            return
        self._faults.update((f"{where} {key}", reason) for key, reason in result.faults.items())
        path = f"{self._folder}/image/{stem}.jpg"
        for item in result.items:
            self._paths.append(path)
            self._rows.append((item.number, item.label, size, result.pair_id, len(item.positions)))
            self._boxes += item.box.tobytes()
            self._points += item.points.tobytes()
            slots = item.positions + np.int16(self._first_slots[item.label])
            self._slots += slots.tobytes()

    def annotations(self) -> Annotations:
        rows = np.array(self._rows, dtype=np.int64).reshape(-1, 5)
        numbers, labels, sizes, pair_ids, num_points = rows.T.copy()
        items = Items(
            paths=packed(self._paths),
            numbers=numbers.astype(np.int16),
            labels=labels,
            sizes=sizes,
            boxes=np.frombuffer(bytes(self._boxes), np.float32).reshape(-1, 4),
            points=np.frombuffer(bytes(self._points), np.float32).reshape(-1, 3),
            slots=np.frombuffer(bytes(self._slots), np.int16),
            ends=np.cumsum(num_points),
        )
        return self._sound(Annotations(items, pair_ids))

    def _sound(self, found: Annotations) -> Annotations:
        """Return the items whose box and landmarks can be used."""
        items = found.items
        reasons = landmark_faults(items.boxes, items.points, items.ends) | box_faults(items.boxes)
        for row, reason in sorted(reasons.items()):
            stem = Path(items.paths[row]).stem
            where = f"{self._folder}/annos/{stem}.json item{items.numbers[row]}"
            self._faults.add(where, reason)
        is_good = np.ones(len(items), dtype=bool)
        is_good[list(reasons)] = False
        rows = np.flatnonzero(is_good)
        return Annotations(items.taken(rows), found.pair_ids[rows])
