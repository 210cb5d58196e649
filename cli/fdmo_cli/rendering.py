"""Metrics as tables."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

ROWS = (
    ("acsa", "ACSA"),
    ("geometric_mean", "geometric mean"),
    ("many", "many-shot"),
    ("medium", "medium-shot"),
    ("few", "few-shot"),
    ("bottom_quarter", "rarest quarter"),
)


def print_metrics(columns: Mapping[str, Mapping[str, Any] | None], *, title: str) -> None:
    """Print metrics side by side on stdout, a column for each classifier or split.

    Args:
        columns: Metrics by heading, as ``metrics.json`` holds them; None is left out.
        title: Above the table.
    """
    present = {heading: one for heading, one in columns.items() if one is not None}
    table = Table(title=Text(title), title_justify="left")
    table.add_column("")
    for heading in present:
        table.add_column(heading, justify="right")
    first: Mapping[str, Any] = next(iter(present.values()), {})
    tops = [(name, name.replace("top", "top-")) for name in first if name.startswith("top")]
    for name, heading in (*tops, *ROWS):
        table.add_row(heading, *(_cell(one, name) for one in present.values()))
    table.add_row(
        "classes at zero", *(str(len(one["zero_recall_classes"])) for one in present.values())
    )
    Console().print(table)


def _cell(metrics: Mapping[str, Any], name: str) -> str:
    value = metrics.get(name)
    if value is None:
        return "-"
    interval = metrics.get(f"{name}_interval")
    return f"{value:.4f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
