"""A comparison on the screen."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fdmo_cli.comparison.columns import table_of, verdicts_of
from fdmo_cli.comparison.findings import Comparison


def print_comparison(comparison: Comparison, notes: Sequence[str], *, console: Console) -> None:
    """Print the ranked table, and what it says, in words.

    Args:
        comparison: What was found.
        notes: Sentences below the title.
        console: Where to print; made as wide as the table.
    """
    headings, rows = table_of(comparison)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        is_text = heading in ("method", "verdict")
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    wide = console.options.update(width=1000)
    console.width = max(console.width, Measurement.get(console, wide, table).maximum)
    console.print(Text("Methods by average class accuracy (ACSA), in %", style="bold"))
    console.print(table)
    for line in (*verdicts_of(comparison), "", *notes):
        console.print(line, highlight=False, markup=False)
