"""Reads the lists of DeepFashion: a count, the names of the columns, then a row for each image."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from fdmo_core import DataError
from fdmo_plugins.datasets.annotated.faults import Faults, shown

CHUNK_BYTES = 1 << 16  # read at once; with more, Python's garbage collector takes half the time
MAX_BYTES = 1 << 30  # of a list; the longest of the released set has some 60 MB
MAX_LINE = 1 << 16  # bytes; what has longer lines is no list
BOM = b"\xef\xbb\xbf"

RawRow = tuple[int, list[bytes]]
"""Line number, and the cells of the row."""


@dataclass(frozen=True)
class ListedRows:
    """Some rows of a list, all of one width.

    Attributes:
        lines: Line numbers in the file, from 1. Shape ``(R,)``, int64.
        names: First column of each row.
        numbers: The other columns. Shape ``(R, W)``, int64.
    """

    lines: NDArray[np.int64]
    names: list[str]
    numbers: NDArray[np.int64]


@dataclass(frozen=True)
class ListFile:
    """One list.

    Attributes:
        root: Root of the data set.
        path: Relative to the root; faults are noted under it.
        columns: What a row holds, for messages; the header must begin with its first word.
        widths: How many numbers may follow the name.
        faults: Takes the rows that cannot be read.
        number: Turns a cell into a number, or raises a ValueError or KeyError.
    """

    root: Path
    path: str
    columns: str
    widths: Collection[int]
    faults: Faults
    number: Callable[[bytes], int] = int

    def line(self, number: int) -> str:
        """Return what names a line to a person."""
        return f"{self.path} line {number}"

    def rows(self) -> Iterator[ListedRows]:
        """Yield the rows that can be read, in parts.

        Raises:
            DataError: The file is no such list.
        """
        try:
            with (self.root / self.path).open("rb") as file:
                yield from self._rows(file)
        except OSError as error:
            raise DataError(
                f"'{self.root / self.path}' cannot be read ({error.strerror}). Expected a list. "
                f"Check the file and its permissions."
            ) from error

    def _rows(self, file: BinaryIO) -> Iterator[ListedRows]:
        num_listed, last_line, num_rows = self._header(file), 2, 0
        while lines := file.readlines(CHUNK_BYTES):
            raw = [(at, line.split()) for at, line in enumerate(lines, last_line + 1)]
            raw = [row for row in raw if row[1]]
            yield from self._parsed(raw)
            last_line += len(lines)
            num_rows += len(raw)
        if num_rows != num_listed:
            self.faults.add(
                self.line(1),
                f"The first line says {num_listed} rows, and {num_rows} follow. Expected as many "
                f"as it says; the download may have been cut short.",
            )

    def _header(self, file: BinaryIO) -> int:
        """Return the number of rows that the first line promises."""
        size = (self.root / self.path).stat().st_size
        count, names = (file.readline(MAX_LINE) for _ in range(2))
        first = self.columns.split()[0].encode()
        is_count = count.removeprefix(BOM).strip().isdigit()
        if size > MAX_BYTES or not is_count or names.split()[:1] != [first]:
            raise DataError(
                f"'{self.root / self.path}' begins with the lines '{shown(count.strip())}' and "
                f"'{shown(names.strip())}' and has {size} bytes. Expected the number of rows, then "
                f"the columns '{self.columns}', in UTF-8 and at most {MAX_BYTES} bytes. Download "
                f"the file again."
            )
        return int(count.removeprefix(BOM))

    def _parsed(self, raw: list[RawRow]) -> Iterator[ListedRows]:
        by_width: dict[int, list[RawRow]] = {}
        for row in raw:
            by_width.setdefault(len(row[1]) - 1, []).append(row)
        for width, rows in by_width.items():
            if width not in self.widths:
                for row in rows:
                    self._add_fault(row)
                continue
            try:
                yield self._converted(rows)
            except (ValueError, KeyError, OverflowError):
                yield from self._converted_one_by_one(rows)

    def _converted(self, rows: list[RawRow]) -> ListedRows:
        cells = list(chain.from_iterable(cells for _, cells in rows))
        names = [name.decode() for name in cells[:: len(rows[0][1])]]
        del cells[:: len(rows[0][1])]
        numbers = np.array(list(map(self.number, cells)), dtype=np.int64)
        lines = np.array([at for at, _ in rows], dtype=np.int64)
        return ListedRows(lines, names, numbers.reshape(len(rows), -1))

    def _converted_one_by_one(self, rows: list[RawRow]) -> Iterator[ListedRows]:
        for row in rows:
            try:
                yield self._converted([row])
            except (ValueError, KeyError, OverflowError):
                self._add_fault(row)

    def _add_fault(self, row: RawRow) -> None:
        at, cells = row
        image = cells[0].decode("utf-8", "backslashreplace")
        if image not in self.faults.images:
            reason = f"The row is '{shown(b' '.join(cells))}'. Expected '{self.columns}', in UTF-8."
            self.faults.add(self.line(at), reason, image=image)
