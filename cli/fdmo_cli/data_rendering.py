"""A report on data as tables."""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fdmo_core.data_report import FAULT_KINDS, DataReport, Fault

MAX_CLASSES = 40  # rows; of more classes the largest and the smallest are shown
FIRST_FAULTS = 3  # of each kind


def print_report(report: DataReport, out: Path | None) -> None:
    """Print counts, faults and what to do next on stdout.

    Args:
        report: What a check found.
        out: Where the whole report was written, or None.
    """
    console = Console()
    console.print(_counts(report))
    smallest, largest = report.counts["train"].min(), report.counts["train"].max()
    console.print(
        f"Training images of a class: {smallest} to {largest}, "
        f"imbalance ratio {report.imbalance_ratio:.1f}",
        highlight=False,
    )
    if any(report.faults.counts.values()):
        console.print(_faults(report))
    num_errors, num_warnings = (report.faults.count(errors=one) for one in (True, False))
    console.print(f"{num_errors} error(s), {num_warnings} warning(s)", highlight=False)
    left_out = sum(map(len, report.leave_out.values()))
    if out is not None:
        console.print(f"Report: {out}", highlight=False, markup=False, soft_wrap=True)
    if left_out:
        file = out or "REPORT (written by --out REPORT)"
        text = f"Next: correct the data, or train without {left_out} sample(s): "
        text += f"give 'fdmo train' the same data and --set data.exclude={file}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def _counts(report: DataReport) -> Table:
    table = Table("class", title="Images", title_justify="left")
    for name in report.counts:
        table.add_column(name, justify="right")
    columns = list(report.counts.values())
    order = np.argsort(-report.counts["train"], kind="stable").tolist()
    half = MAX_CLASSES // 2
    is_cut = len(order) > MAX_CLASSES
    for label in order[:half] + order[-half:] if is_cut else order:
        if is_cut and label == order[-half]:
            table.add_row(f"({len(order) - 2 * half} more)", *["..."] * len(columns))
        counts = (str(column[label]) for column in columns)
        table.add_row(Text(report.class_names[label]), *counts)
    table.add_section()
    table.add_row("all", *(str(column.sum()) for column in columns))
    return table


def _faults(report: DataReport) -> Table:
    table = Table("", "count", "what", "such as", title="Faults", title_justify="left")
    for kind, count in report.faults.counts.items():
        if count:
            first = report.faults.listed[kind][:FIRST_FAULTS]
            table.add_row(
                "error" if FAULT_KINDS[kind].is_error else "warning",
                str(count),
                f"{kind}: {FAULT_KINDS[kind].meaning}",
                Text("\n".join(map(_line, first))),
            )
    return table


def _line(fault: Fault) -> str:
    where = ", ".join(f"{split} {source}" for split, source in fault.where)
    return f"{where}: {fault.reason}" if where else fault.reason
