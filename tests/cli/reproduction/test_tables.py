"""The table on the screen."""

import io
from collections.abc import Callable

from rich.console import Console

from fdmo_cli.reproduction.definitions import EXPERIMENTS, Experiment
from fdmo_cli.reproduction.records import collect
from fdmo_cli.reproduction.tables import print_table
from fdmo_core.experiments import Cell

WriteCells = Callable[..., dict[str, Cell]]


def printed(experiment: Experiment, cells: dict[str, Cell]) -> list[str]:
    """Return the lines of the table on a narrow screen."""
    text = io.StringIO()
    records = collect(experiment, [cells], confidence=0.95)
    print_table(experiment, records, ["A note."], console=Console(file=text, width=40))
    return [line.strip() for line in text.getvalue().splitlines() if line.strip()]


def test_a_row_is_one_line_with_the_paper_s_figures_beside_ours(write_cells: WriteCells) -> None:
    experiment = EXPERIMENTS["table5"]

    lines = printed(experiment, write_cells(experiment))

    (line,) = (line for line in lines if line.startswith("shape stream only"))
    assert line.split("  ")[0] == "shape stream only, LDAM"
    assert [part.strip() for part in line.split("   ") if part.strip()][1:] == [
        *("55.00 [39.8, 69.3]", "72.43", "0.5030 [0.400, 0.600]", "0.3692"),
        *("0.3000 [0.200, 0.350]", "-"),
    ]


def test_title_and_notes_stand_above_and_rows_of_our_own_are_marked(
    write_cells: WriteCells,
) -> None:
    experiment = EXPERIMENTS["table5"]

    lines = printed(experiment, write_cells(experiment))

    assert lines[:2] == [experiment.title, "A note."]
    assert [line.split("  ")[0] for line in lines if line.startswith("+")] == [
        "+ real features only, LDAM",
        "+ both streams, CE",
        "+ The paper has no such row.",
    ]


def test_a_row_without_a_finished_run_says_that_it_failed(write_cells: WriteCells) -> None:
    experiment = EXPERIMENTS["table5"]

    lines = printed(experiment, write_cells(experiment, without=("shape-only",)))

    (line,) = (line for line in lines if line.startswith("shape stream only"))
    assert line.split()[-6:] == ["failed", "72.43", "failed", "0.3692", "failed", "-"]


def test_figure_2_is_a_table_of_classes(write_cells: WriteCells) -> None:
    experiment = EXPERIMENTS["figure2"]

    lines = printed(experiment, write_cells(experiment))

    recalls = ["0.0000", "[0.000,", "0.900]", "0.3000", "[0.000,", "0.900]"]
    assert lines[-2].split() == ["robe", "1.379", *("no", "test", "image") * 2]
    assert lines[-1].split() == ["cape", "8.966", *recalls]
