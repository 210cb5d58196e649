"""An experiment's records as a table on the screen, one line a row."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fdmo_cli.reproduction.definitions import HEADINGS, METRICS, Experiment, Row
from fdmo_cli.reproduction.records import Record

LEFT_OUT = "+"  # before a row that the paper has not
FAILED, NO_IMAGE = "failed", "no test image"


def print_table(
    experiment: Experiment, records: Sequence[Record], notes: Sequence[str], *, console: Console
) -> None:
    """Print what was measured beside the paper's figures.

    Args:
        experiment: Which rows there are.
        records: Of the rows that were measured.
        notes: Sentences below the title.
        console: Where to print; made as wide as the table.
    """
    table = _recalls(records) if experiment.kind == "classes" else _metrics(experiment, records)
    wide = console.options.update(width=1000)
    console.width = max(console.width, Measurement.get(console, wide, table).maximum)
    console.print(Text(experiment.title, style="bold"))
    for note in notes:
        console.print(note, highlight=False, markup=False)
    console.print(table)
    if not all(row.in_paper for row in experiment.rows):
        console.print(f"{LEFT_OUT} The paper has no such row.", markup=False)


def _empty_table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=True)
    return table


def _metrics(experiment: Experiment, records: Sequence[Record]) -> Table:
    """Return the table of top-1, ACSA and GM; rows that the paper leaves out stand below."""
    headings = [part for name in METRICS for part in (HEADINGS[name], "paper")]
    table = _empty_table("", *headings)
    found = {(one.row, one.metric): one for one in records}
    ours = [row for row in experiment.rows if not row.in_paper]
    for row in experiment.rows:
        if ours and row is ours[0]:
            table.add_section()
        cells = [
            part
            for metric in METRICS
            for part in (
                _measured(found.get((row.label, metric)), otherwise=FAILED),
                _printed(row, metric),
            )
        ]
        table.add_row(Text(row.label if row.in_paper else f"{LEFT_OUT} {row.label}"), *cells)
    return table


def _recalls(records: Sequence[Record]) -> Table:
    """Return the table of the rarest classes, before and after phase 2."""
    table = _empty_table("class", "share of the data (%)", "w/o Convex-GAN", "w/ Convex-GAN")
    found = {(one.row, one.when): one for one in records}
    for name in dict.fromkeys(one.row for one in records):
        share = found[name, ""]
        table.add_row(
            Text(name),
            f"{100 * share.mean:.3f}",
            *(
                _measured(found.get((name, when)), otherwise=NO_IMAGE)
                for when in ("before", "after")
            ),
        )
    return table


def _measured(record: Record | None, *, otherwise: str) -> Text:
    return Text(otherwise if record is None else _with_interval(record))


def _with_interval(record: Record) -> str:
    factor, digits = (100, 2) if record.metric == "top1" else (1, 4)
    text = f"{factor * record.mean:.{digits}f}"
    if record.low is None or record.high is None:
        return text
    bounds = (f"{factor * bound:.{digits - 1}f}" for bound in (record.low, record.high))
    return f"{text} [{', '.join(bounds)}]"


def _printed(row: Row, metric: str) -> Text:
    if metric not in row.paper:
        return Text("-")
    printed = row.paper[metric]
    return Text(f"{100 * printed:.2f}" if metric == "top1" else f"{printed:.4f}")
