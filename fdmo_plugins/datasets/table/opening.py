"""From a table to its usable rows: parsed, their files found, contradictions left out."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdmo_core import ConfigError, DataError
from fdmo_plugins.datasets.table.images import contradictions
from fdmo_plugins.datasets.table.parsing import Parser
from fdmo_plugins.datasets.table.presence import REASONS, file_sizes
from fdmo_plugins.datasets.table.reading import Table
from fdmo_plugins.datasets.table.rows import LEFT_OUT, Rows, joined_rows

NAMED_IN_MESSAGES = 5  # rows, so that a message stays readable


@dataclass(frozen=True)
class OpenedTable:
    """What a table holds, and what is wrong with it.

    Attributes:
        rows: Those that could be parsed; the unusable ones are in no split.
        sizes: Bytes of each row's file. Shape ``(N,)``, int64.
        faults: Why rows cannot be used, by line or row of the file.
    """

    rows: Rows
    sizes: NDArray[np.int64]
    faults: dict[int, str]


def existing_table(file: str) -> Path:
    """Return the file that ``data.file`` names.

    Raises:
        ConfigError: The setting is empty.
        DataError: There is no such file.
    """
    if not file:
        raise ConfigError(
            "data.file is empty. Expected a .csv, .tsv or .parquet file that lists your images. "
            "Set data.file."
        )
    path = Path(file).expanduser()
    if not path.is_file():
        raise DataError(f"'{path}' is no file. Expected a table of your images. Correct data.file.")
    return path


def open_rows(table: Table, parser: Parser, root: Path, *, max_faulty_share: float) -> OpenedTable:
    """Return the rows of a table with the sizes of their files.

    Args:
        table: Where rows come from.
        parser: What its columns say.
        root: What the paths are relative to.
        max_faulty_share: Share of the rows that may be unusable.

    Raises:
        DataError: The table cannot be read, has no row, or too many rows cannot be used.
    """
    rows = joined_rows(parser.chunks(table), parser.label_names)
    sizes = file_sizes(root, rows)
    reasons = contradictions(rows)
    is_faulty = sizes <= 0
    is_faulty[list(reasons)] = True
    faulty = np.flatnonzero(is_faulty)
    faults = parser.faults
    num_faults = len(faults) + len(faulty)
    is_too_many = num_faults > max_faulty_share * parser.num_rows
    # Texts for all of them would be many where, for instance, the root is wrong.
    for row in faulty[: NAMED_IN_MESSAGES if is_too_many else None].tolist():
        reason = reasons.get(row) or REASONS[int(sizes[row])]
        faults[int(rows.numbers[row])] = f"'{rows.paths[row]}': {reason}"
    if is_too_many:
        first = [f"{table.unit} {at}: {faults[at]}" for at in sorted(faults)[:NAMED_IN_MESSAGES]]
        raise DataError(
            f"{num_faults} of {parser.num_rows} rows cannot be used, with images below '{root}'. "
            f"Expected at most a share of {max_faulty_share:g}. Correct the table or data.root, "
            f"or raise data.max_unreadable_share. The first of them:\n" + "\n".join(first)
        )
    splits = np.where(is_faulty, np.int8(LEFT_OUT), rows.splits)
    return OpenedTable(replace(rows, splits=splits), sizes, dict(sorted(faults.items())))
