"""What is collected from finished runs, and the files that hold it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fdmo_cli.reproduction.definitions import EXPERIMENTS
from fdmo_cli.reproduction.records import (
    as_json,
    collect,
    interval_note,
    paper_note,
    write_files,
)
from fdmo_core.estimates import over_runs
from fdmo_core.experiments import Cell

WriteCells = Callable[..., dict[str, Cell]]
TABLE2, TABLE5, FIGURE2 = (EXPERIMENTS[name] for name in ("table2", "table5", "figure2"))


def test_there_is_a_record_for_each_row_and_metric_in_order(write_cells: WriteCells) -> None:
    records = collect(TABLE5, [write_cells(TABLE5)], confidence=0.95)

    assert [(one.row, one.metric) for one in records] == [
        (row.label, metric) for row in TABLE5.rows for metric in ("top1", "acsa", "geometric_mean")
    ]


def test_a_record_is_what_the_run_s_metrics_say_beside_the_paper(write_cells: WriteCells) -> None:
    cells = write_cells(TABLE5)

    records = collect(TABLE5, [cells], confidence=0.95)

    (found,) = (
        one for one in records if (one.row, one.metric) == ("shape stream only, LDAM", "acsa")
    )
    metrics = cells["shape-only"].metrics()["test"]["after"]
    assert (found.mean, found.low, found.high) == (metrics["acsa"], 0.4, 0.6)
    assert (found.cell, found.when, found.seeds) == ("shape-only", "after", 1)
    assert (found.paper, found.in_paper) == (0.3692, True)


def test_several_seeds_give_their_mean_and_student_s_interval(write_cells: WriteCells) -> None:
    seeds = [write_cells(TABLE5, seed=seed) for seed in (0, 1, 2)]

    found = collect(TABLE5, seeds, confidence=0.95)[1]

    expected = over_runs([0.5, 0.51, 0.52], confidence=0.95)
    assert found.metric == "acsa"
    assert (found.mean, found.low, found.high) == (expected.mean, expected.low, expected.high)
    assert found.seeds == 3


def test_a_row_whose_cell_failed_has_no_record(write_cells: WriteCells) -> None:
    records = collect(TABLE5, [write_cells(TABLE5, without=("shape-only",))], confidence=0.95)

    assert "shape stream only, LDAM" not in {one.row for one in records}
    assert len(records) == 3 * (len(TABLE5.rows) - 1)


def test_a_cell_that_failed_for_one_seed_is_shown_from_the_others(write_cells: WriteCells) -> None:
    seeds = [write_cells(TABLE5), write_cells(TABLE5, seed=1, without=("shape-only",))]

    records = collect(TABLE5, seeds, confidence=0.95)

    assert {one.row: one.seeds for one in records}["shape stream only, LDAM"] == 1
    assert interval_note(records, confidence=0.95).startswith("Mean of 1 to 2 seeds.")


def test_figure_2_shows_the_rarest_quarter_of_the_classes(
    write_cells: WriteCells,
) -> None:
    records = collect(FIGURE2, [write_cells(FIGURE2)], confidence=0.95)

    shown = {(one.row, one.when): (one.metric, one.mean) for one in records}
    assert shown == {  # 2 of 5 classes; robe, the rarest one, has no test image and so no recall
        ("robe", ""): ("share_of_data", 2 / 145),
        ("cape", "before"): ("recall", 0.0),
        ("cape", ""): ("share_of_data", 13 / 145),
        ("cape", "after"): ("recall", 0.3),
    }


def test_a_recall_over_seeds_has_student_s_interval(write_cells: WriteCells) -> None:
    seeds = [write_cells(FIGURE2, seed=seed) for seed in (0, 1)]

    (after,) = (one for one in collect(FIGURE2, seeds, confidence=0.95) if one.when == "after")

    expected = over_runs([0.3, 0.4], confidence=0.95)
    assert (after.mean, after.low, after.high) == (expected.mean, expected.low, expected.high)


def test_the_csv_file_has_a_line_for_each_record_with_plain_numbers(
    write_cells: WriteCells, tmp_path: Path
) -> None:
    cells = write_cells(TABLE2)
    records = collect(TABLE2, [cells], confidence=0.95)

    write_files(tmp_path, TABLE2, records, as_json(TABLE2, records, {}, notes=[]))

    with (tmp_path / "table2.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 * len(TABLE2.rows)
    for line in lines:
        metrics = cells[line["cell"]].metrics()["test"][line["when"]]
        assert float(line["mean"]) == metrics[line["metric"]]
    assert lines[0]["paper"] == "0.7165"
    assert (lines[2]["metric"], lines[2]["paper"]) == ("geometric_mean", "")


def test_the_json_file_holds_records_notes_and_failures(
    write_cells: WriteCells, tmp_path: Path
) -> None:
    records = collect(TABLE2, [write_cells(TABLE2)], confidence=0.95)

    content = as_json(TABLE2, records, {"seed-0/focal": "It diverged."}, notes=["A note."])
    write_files(tmp_path, TABLE2, records, content)

    assert json.loads((tmp_path / "table2.json").read_text()) == content
    assert content["notes"] == ["A note."]
    assert content["failures"] == {"seed-0/focal": "It diverged."}
    assert content["records"][0]["paper"] == 0.7165


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("table3", "The paper shows one run on DeepFashion2, without spread."),
        (
            "figure2",
            "The paper shows one run on DeepFashion, without spread, and prints no numbers here.",
        ),
    ],
)
def test_the_header_says_what_the_paper_s_figures_are(name: str, expected: str) -> None:
    assert paper_note(EXPERIMENTS[name]) == expected


def test_the_header_says_what_the_intervals_are(write_cells: WriteCells) -> None:
    seeds = [write_cells(TABLE5, seed=seed) for seed in (0, 1)]

    one, two = (collect(TABLE5, seeds[:number], confidence=0.95) for number in (1, 2))

    assert interval_note(one, confidence=0.95) == (
        "Intervals: 95 %, over the test images of one run; training again varies more."
    )
    assert interval_note(two, confidence=0.95) == (
        "Mean of 2 seeds. Intervals: 95 %, Student's t over seeds."
    )
