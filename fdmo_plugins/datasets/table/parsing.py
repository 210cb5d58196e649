"""Turns the text of some rows into arrays, and says of each row that cannot be what is wrong."""

import math
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fdmo_core import DataError, Visibility
from fdmo_plugins.datasets.layout import SPLITS
from fdmo_plugins.datasets.table.columns import Columns, LandmarkColumns
from fdmo_plugins.datasets.table.reading import Chunk, Table
from fdmo_plugins.datasets.table.rows import ParsedChunk

MAX_LABELS = 100_000  # more are no classes but, for instance, the column of paths
MAX_FAULTS = 1_000_000  # each takes some 300 bytes
MAX_COORDINATE = 2**24  # pixels; up to here float32 holds whole numbers exactly
UNKNOWN = -2
BY_POSITION = -1  # whether a landmark is there says whether it is visible
NUMBERS = re.compile(r"[^\s,;\[\]()]+")

SPLIT_CODES = {name: code for code, name in enumerate(SPLITS)}
VISIBILITY_CODES = {
    "": BY_POSITION,
    "nan": BY_POSITION,
    **{one.name.lower(): int(one) for one in Visibility},
    **{f"{int(one)}{end}": int(one) for one in Visibility for end in ("", ".0")},
}

BoxFormat = Literal["corners", "size"]


@dataclass
class Parser:
    """Parses the rows of one table, chunk by chunk.

    Attributes:
        columns: Which columns say what.
        box_format: Whether a box is left, top, right, bottom or left, top, width, height.
        allow_outside_root: Whether a path may leave the root.
        label_names: All labels so far, with their indices.
        faults: Why rows were left out, by number.
        num_rows: Rows so far, with those that were left out.
    """

    columns: Columns
    box_format: BoxFormat
    allow_outside_root: bool
    label_names: dict[str, int] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    num_rows: int = 0

    def chunks(self, table: Table) -> Iterator[ParsedChunk]:
        """Yield the rows of a table that can be used.

        Raises:
            DataError: The table cannot be read, or is none of labelled images.
        """
        for chunk in table.chunks(self.columns.names()):
            self.num_rows += len(chunk.numbers) + len(chunk.faults)
            self.faults |= chunk.faults
            yield self._parsed(chunk)
            self._require_labels_and_few_faults()
        if not self.num_rows:
            raise DataError(
                "The table has a header and no row. Expected a row for each image. Check data.file."
            )

    def _parsed(self, chunk: Chunk) -> ParsedChunk:
        cells, faults = chunk.columns, dict[int, str]()  # by position in the chunk, first one first
        paths = self._paths(cells[self.columns.path], faults)
        labels = self._labels(cells[self.columns.label], faults)
        splits = self._splits(chunk, faults)
        boxes = self._boxes(chunk, faults)
        landmarks = self._landmarks(chunk, faults)
        self.faults |= {chunk.numbers[at]: reason for at, reason in sorted(faults.items())}
        good = np.ones(len(paths), dtype=bool)
        good[list(faults)] = False
        if faults:
            paths = [path for path, is_good in zip(paths, good.tolist(), strict=True) if is_good]
        return ParsedChunk(
            encoded_paths=paths,
            numbers=np.array(chunk.numbers, dtype=np.int64)[good],
            path_keys=np.array([hash(path) for path in paths], dtype=np.int64),
            folder_keys=np.array([hash(path.rpartition(b"/")[0]) for path in paths], np.int64),
            labels=labels[good],
            splits=splits[good],
            boxes=boxes[good],
            landmarks=landmarks[good],
        )

    def _paths(self, cells: Sequence[str], faults: dict[int, str]) -> list[bytes]:
        if not self.allow_outside_root:
            for at, path in enumerate(cells):
                if (".." in path or path[:1] in "/\\" or ":" in path) and _leaves_root(path):
                    faults[at] = (
                        f"The path '{path}' leaves data.root. Expected one relative to it. Set "
                        f"data.root, or data.allow_outside_root = true if you trust the table."
                    )
        for at, path in enumerate(cells):
            if not path or "\0" in path:
                faults[at] = f"The path {path!r} is empty or has a zero byte. Expected a file."
        return [
            (posixpath.normpath(path) if "//" in path or "./" in path else path).encode(
                errors="backslashreplace"
            )
            for path in cells
        ]

    def _labels(self, cells: Sequence[str], faults: dict[int, str]) -> NDArray[np.int32]:
        names = self.label_names
        labels = np.array([names.setdefault(cell, len(names)) for cell in cells], dtype=np.int32)
        if "" in names:
            for at in np.flatnonzero(labels == names[""]).tolist():
                faults.setdefault(at, "The label is empty. Expected the name of a class.")
        return labels

    def _splits(self, chunk: Chunk, faults: dict[int, str]) -> NDArray[np.int8]:
        if self.columns.split is None:
            return np.zeros(len(chunk.numbers), dtype=np.int8)
        cells = chunk.columns[self.columns.split]
        codes = np.array([SPLIT_CODES.get(cell, UNKNOWN) for cell in cells], dtype=np.int8)
        for at in np.flatnonzero(codes == UNKNOWN).tolist():
            faults.setdefault(
                at, f"The split is '{cells[at]}'. Expected one of: {', '.join(SPLITS)}."
            )
        return codes

    def _boxes(self, chunk: Chunk, faults: dict[int, str]) -> NDArray[np.float32]:
        columns = [chunk.columns[name] for name in self.columns.box]
        if not columns:
            return np.empty((len(chunk.numbers), 0), dtype=np.float32)
        if len(columns) == 1:
            boxes = np.array([_four_numbers(cell) for cell in columns[0]]).reshape(-1, 4)
        else:
            boxes = np.stack([_floats(column) for column in columns], axis=1)  # (N, 4)
        if self.box_format == "size":
            boxes[:, 2:] += boxes[:, :2]
        has_area = (np.abs(boxes) <= MAX_COORDINATE).all(axis=1)
        has_area &= (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])
        for at in np.flatnonzero(~(has_area | np.isnan(boxes).all(axis=1))).tolist():
            faults.setdefault(
                at,
                f"The box is '{' '.join(column[at] for column in columns)}'. Expected four "
                f"numbers that span an area, or none.",
            )
        with np.errstate(over="ignore"):  # those are told already
            return boxes.astype(np.float32)

    def _landmarks(self, chunk: Chunk, faults: dict[int, str]) -> NDArray[np.float32]:
        landmarks = np.zeros((len(chunk.numbers), len(self.columns.landmarks), 3), dtype=np.float32)
        for index, one in enumerate(self.columns.landmarks):
            landmarks[:, index] = _landmark(chunk, one, faults)
        return landmarks

    def _require_labels_and_few_faults(self) -> None:
        if len(self.label_names) > MAX_LABELS:
            raise DataError(
                f"Column '{self.columns.label}' has more than {MAX_LABELS} different labels. "
                f"Expected classes, of which many images share one. Correct data.label_column."
            )
        if len(self.faults) > MAX_FAULTS:
            number, reason = next(iter(self.faults.items()))
            raise DataError(
                f"More than {MAX_FAULTS} rows cannot be used, the first of them {number}: "
                f"{reason} Expected a table with few such rows. Correct it."
            )


def _leaves_root(path: str) -> bool:
    first, *_ = parts = re.split(r"[/\\]", path)  # the root may be on Windows
    return ".." in parts or not first or bool(re.match("[A-Za-z]:", first))


def _floats(cells: Sequence[str]) -> NDArray[np.float64]:
    """Return the numbers of cells; NaN for an empty one, infinity for what is no number."""
    try:
        return np.array([float(cell) if cell else math.nan for cell in cells])
    except ValueError:
        return np.array([_float(cell) for cell in cells])


def _float(cell: str) -> float:
    try:
        return float(cell) if cell else math.nan
    except ValueError:
        return math.inf


def _four_numbers(cell: str) -> tuple[float, ...]:
    numbers = tuple(_float(part) for part in NUMBERS.findall(cell))
    if not numbers:
        return (math.nan,) * 4
    return numbers if len(numbers) == 4 else (math.inf,) * 4


def _landmark(
    chunk: Chunk, columns: LandmarkColumns, faults: dict[int, str]
) -> NDArray[np.float32]:
    """Return x, y and visibility of one landmark of each row. Shape ``(N, 3)``."""
    position = np.stack([_floats(chunk.columns[name]) for name in (columns.x, columns.y)], axis=1)
    is_placed = (np.abs(position) <= MAX_COORDINATE).all(axis=1)
    is_blank = np.isnan(position).all(axis=1)
    if columns.visibility is None:
        codes = np.full(len(position), BY_POSITION)
    else:
        cells = chunk.columns[columns.visibility]
        codes = np.array([VISIBILITY_CODES.get(cell.lower(), UNKNOWN) for cell in cells])
    visibility = np.where(
        codes == BY_POSITION, np.where(is_blank, Visibility.ABSENT, Visibility.VISIBLE), codes
    )
    wrong = ~(is_placed | is_blank) | (visibility == UNKNOWN)
    wrong |= (visibility >= Visibility.OCCLUDED) & ~is_placed
    for at in np.flatnonzero(wrong).tolist():
        names = [name for name in columns[1:] if name is not None]
        faults.setdefault(
            at,
            f"Landmark '{columns.name}' is '{' '.join(chunk.columns[name][at] for name in names)}'."
            f" Expected x and y, and a visibility of: "
            f"{', '.join(one.name.lower() for one in Visibility)}, or 0 to 3.",
        )
    position[~is_placed] = 0
    return np.concatenate([position, visibility[:, None]], axis=1).astype(np.float32)
