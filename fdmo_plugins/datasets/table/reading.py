"""Reads a CSV, TSV or Parquet file as text, a bounded number of rows at a time."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TextIO

from fdmo_core import ConfigError, DataError
from fdmo_plugins.datasets.arrow import import_pyarrow

CHUNK_ROWS = 16_384
MAX_LINE = 2**20  # characters; a file without line ends would be read into memory as one line
TABS = frozenset((".tsv", ".tab"))


class Chunk(NamedTuple):
    """Some rows of a table.

    Attributes:
        numbers: Line of each row, or its number where the file has no lines; both from 1.
        columns: The cells by column, as text; an empty cell is ``""``.
        faults: Rows that have another number of cells, by number.
    """

    numbers: list[int]
    columns: Mapping[str, Sequence[str]]
    faults: dict[int, str]


class Table(Protocol):
    """A table whose column names were read.

    Attributes:
        header: The column names.
        unit: What :attr:`Chunk.numbers` counts: ``"line"`` or ``"row"``.
    """

    header: tuple[str, ...]
    unit: str

    def chunks(self, names: Sequence[str]) -> Iterator[Chunk]:
        """Yield the rows with some of the columns, in order."""
        ...


def open_table(file: Path, *, delimiter: str, encoding: str) -> Table:
    """Return the table in a file.

    Args:
        file: Ends in .csv, .tsv, .tab or .parquet.
        delimiter: Between two cells of text; empty for that of the file's ending.
        encoding: Of text.

    Raises:
        ConfigError: The ending or the encoding is unknown, or Parquet cannot be read here.
        DataError: The file cannot be read, or has no proper header.
    """
    suffix = file.suffix.lower()
    if suffix == ".parquet":
        return _checked(ParquetTable(file), file)
    if suffix not in {".csv", *TABS}:
        raise ConfigError(
            f"'{file}' ends in '{suffix}'. Expected a table that ends in .csv, .tsv or .parquet. "
            f"Rename or convert the file, and correct data.file."
        )
    separator = delimiter or ("\t" if suffix in TABS else ",")
    return _checked(TextTable(file, delimiter=separator, encoding=encoding), file)


def _checked(table: Table, file: Path) -> Table:
    repeated = sorted({name for name in table.header if table.header.count(name) > 1})
    if repeated:
        raise DataError(
            f"'{file}' has more than one column of the name: {', '.join(repeated)}. Expected each "
            f"name once. Rename or remove the columns."
        )
    return table


class TextTable:
    """A CSV or TSV file, whose first row names the columns. A byte order mark is skipped.

    Args:
        file: Where it is.
        delimiter: One character.
        encoding: A name that Python knows.
    """

    unit = "line"

    def __init__(self, file: Path, *, delimiter: str, encoding: str) -> None:
        self._file = file
        self._delimiter = delimiter
        self._encoding = encoding
        try:
            "".encode(encoding)  # refuses what is unknown, or not for text
        except LookupError as error:
            raise ConfigError(
                f"data.encoding is '{encoding}'. Expected an encoding of text that Python knows, "
                f"such as utf-8 or cp1252. Correct it."
            ) from error
        _, header = next(self._rows(), (0, []))
        if not header:
            raise DataError(
                f"'{file}' is empty. Expected a first line with the names of the columns. Check "
                f"data.file."
            )
        self.header = tuple(header)

    def chunks(self, names: Sequence[str]) -> Iterator[Chunk]:
        """Yield the rows; see :meth:`Table.chunks`."""
        positions = {name: self.header.index(name) for name in names}
        width = len(self.header)
        rows = islice(self._rows(), 1, None)
        while part := list(islice(rows, CHUNK_ROWS)):
            faults = {
                number: f"The {self.unit} has {len(cells)} cells. Expected {width}, as the header."
                for number, cells in part
                if len(cells) != width
            }
            kept = [row for row in part if row[0] not in faults] if faults else part
            turned = list(zip(*(cells for _, cells in kept), strict=True)) or [()] * width
            columns = {name: turned[position] for name, position in positions.items()}
            yield Chunk([number for number, _ in kept], columns, faults)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows that are not blank, each with the line on which it ends."""
        try:
            with self._file.open(encoding=self._encoding, newline="") as text:
                yield from self._parsed(text)
        except UnicodeDecodeError as error:
            raise self._undecodable() from error
        except OSError as error:
            raise _unreadable(self._file, error) from error

    def _parsed(self, text: TextIO) -> Iterator[tuple[int, list[str]]]:
        lines = iter(partial(text.readline, MAX_LINE), "")
        reader = csv.reader(self._bounded(lines), delimiter=self._delimiter, strict=True)
        try:
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
        except csv.Error as error:
            raise DataError(
                f"'{self._file}' cannot be read as a table up to line {reader.line_num}: {error}. "
                f"Expected cells between '{self._delimiter}', those with quotes or line ends "
                f"inside quotes, a quote in them twice. Look for a quote that is not closed."
            ) from error

    def _bounded(self, lines: Iterator[str]) -> Iterator[str]:
        for number, line in enumerate(lines, start=1):
            if len(line) == MAX_LINE and not line.endswith("\n"):
                raise DataError(
                    f"Line {number} of '{self._file}' is longer than {MAX_LINE} characters. "
                    f"Expected a line for each image. Check that data.file is a table."
                )
            yield line.removeprefix("\ufeff") if number == 1 else line  # a byte order mark

    def _undecodable(self) -> DataError:
        """Return the error that names the first line with bytes of another encoding."""
        with self._file.open(encoding=self._encoding, errors="replace", newline="") as text:
            lines = iter(partial(text.readline, MAX_LINE), "")
            number = next(number for number, line in enumerate(lines, 1) if "\ufffd" in line)
        return DataError(
            f"Line {number} of '{self._file}' is not text in {self._encoding}. Expected that "
            f"throughout. Save the table as UTF-8 (for instance with 'iconv -f cp1252 -t utf-8'), "
            f"or set data.encoding to what it is in, such as cp1252 or utf-16."
        )


class ParquetTable:
    """A Parquet file; its cells are turned into text, and those of lists joined by spaces.

    Args:
        file: Where it is.
    """

    unit = "row"

    def __init__(self, file: Path) -> None:
        self._file = file
        self._arrow = import_pyarrow(instead="give a CSV file")
        try:
            self._parquet = self._arrow.parquet.ParquetFile(file)
        except OSError as error:
            raise _unreadable(file, error) from error
        except self._arrow.ArrowException as error:
            raise self._broken(error) from error
        self.header = tuple(self._parquet.schema_arrow.names)

    def chunks(self, names: Sequence[str]) -> Iterator[Chunk]:
        """Yield the rows; see :meth:`Table.chunks`."""
        first = 1
        try:
            for batch in self._parquet.iter_batches(CHUNK_ROWS, columns=list(names)):
                numbers = list(range(first, first + batch.num_rows))
                columns = {name: self._texts(batch.column(name)) for name in names}
                yield Chunk(numbers, columns, {})
                first += batch.num_rows
        except (self._arrow.ArrowException, OSError) as error:
            raise self._broken(error) from error

    def _texts(self, column: Any) -> list[str]:
        types = self._arrow.types
        if types.is_list(column.type) or types.is_fixed_size_list(column.type):
            return [" ".join(map(str, cell or ())) for cell in column.to_pylist()]
        texts = column.cast(self._arrow.string()).to_pylist()
        return ["" if cell is None else cell for cell in texts]

    def _broken(self, error: Exception) -> DataError:
        return DataError(
            f"'{self._file}' cannot be read as a table: {error}. Expected a Parquet file with "
            f"columns of text, numbers and lists of numbers. Write it again, or give a CSV file."
        )


def _unreadable(file: Path, error: OSError) -> DataError:
    return DataError(
        f"'{file}' cannot be opened ({error.strerror or error}). Expected a table that can be "
        f"read. Check data.file and its permissions."
    )
