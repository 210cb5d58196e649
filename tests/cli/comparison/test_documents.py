"""A comparison as CSV, Markdown and LaTeX, and on the screen."""

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from fdmo_cli.comparison.documents import write_documents
from fdmo_cli.comparison.findings import Comparison
from fdmo_cli.comparison.tables import print_comparison

NOTES = ("A note & 5 %.",)


@pytest.fixture
def folder(comparison: Comparison, tmp_path: Path) -> Path:
    write_documents(tmp_path, comparison, NOTES, {"any": 1})
    return tmp_path


def test_the_csv_file_has_a_line_for_each_method_best_first(folder: Path) -> None:
    with (folder / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))

    assert [row["method"] for row in rows] == ["none", "smote@10", "smote@50"]
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert rows[2]["acsa_mean"] == "0.77"
    assert rows[2]["acsa_difference_bootstrap_low"] == "-0.06"
    assert rows[2]["verdict"] == "worse"
    assert rows[0]["p_holm"] == ""


def test_the_markdown_table_is_whole_and_tells_what_loses(folder: Path) -> None:
    lines = (folder / "comparison.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|")]

    assert len(table) == 2 + 3
    assert len({line.count(" |") for line in table}) == 1
    assert "| 77.00 ± 1.00 [75.0, 79.0] |" in table[-1]
    assert "&lt; 0.001" in table[-1]
    assert "- smote@50: worse by 3.00 points." in lines


def test_the_latex_table_escapes_and_has_as_many_cells_in_each_row(folder: Path) -> None:
    text = (folder / "comparison.tex").read_text()
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]

    assert len(rows) == 1 + 3
    assert {line.count(" & ") for line in rows} == {rows[0].count(" & ")}
    assert r"77.00 $\pm$ 1.00" in rows[-1]
    assert "$<$ 0.001" in rows[-1]
    (columns,) = (line for line in text.splitlines() if line.startswith(r"\begin{tabular}"))
    letters = columns.removeprefix(r"\begin{tabular}{").removesuffix("}")
    assert len(letters) == rows[0].count(" & ") + 1
    assert text.startswith("% A note & 5 %.\n")


def test_the_screen_shows_figures_intervals_verdicts_and_notes(comparison: Comparison) -> None:
    console = Console(file=io.StringIO(), width=80)

    print_comparison(comparison, NOTES, console=console)

    shown = console.file.getvalue()  # type: ignore[attr-defined]
    (line,) = (line for line in shown.splitlines() if "smote@50  " in line)
    assert "-3.00 [-6.00, -0.50]" in line
    assert line.rstrip().endswith("worse")
    assert "baseline" in shown
    assert "A note & 5 %." in shown
