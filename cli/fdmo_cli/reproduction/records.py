"""What was measured, a record for each row and metric, and the files that hold them."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from fdmo_cli.reproduction.definitions import METRICS, Experiment, Row
from fdmo_core.estimates import Estimate, estimate_metric, estimate_recall
from fdmo_core.experiments import Cell
from fdmo_core.files import write_json, write_text
from fdmo_core.json_files import read_json
from fdmo_core.shot_groups import bottom_quarter


@dataclass(frozen=True)
class Record:
    """One figure of one row.

    Attributes:
        row: The row's label; the class where the rows are classes.
        cell: Run folder below each seed's.
        when: ``"before"`` or ``"after"`` phase 2; empty for a figure of the data.
        metric: As in ``metrics.json``.
        mean, low, high: What was measured, with the bounds of its interval; fractions.
        seeds: Runs behind it.
        paper: The paper's figure, where it prints one.
        in_paper: Whether the paper has this row.
    """

    row: str
    cell: str
    when: str
    metric: str
    mean: float
    low: float | None
    high: float | None
    seeds: int
    paper: float | None
    in_paper: bool


def collect(
    experiment: Experiment, cells_by_seed: Sequence[Mapping[str, Cell]], *, confidence: float
) -> list[Record]:
    """Return the records of all rows whose cells are finished for at least one seed.

    Args:
        experiment: Which rows there are.
        cells_by_seed: The cells of each seed, by name.
        confidence: Of intervals over seeds.
    """
    records: list[Record] = []
    for row in experiment.rows:
        finished = [cells[row.cell] for cells in cells_by_seed if cells[row.cell].is_finished]
        if not finished:
            continue
        reports = [cell.metrics()["test"][row.when] for cell in finished]
        if experiment.kind == "classes":
            records += _recalls(row, finished, reports, confidence)
        else:
            records += _metrics(row, reports, confidence)
    return records


def _record(row: Row, label: str, metric: str, estimate: Estimate) -> Record:
    return Record(
        label,
        row.cell,
        row.when,
        metric,
        estimate.mean,
        estimate.low,
        estimate.high,
        estimate.num_runs,
        row.paper.get(metric),
        row.in_paper,
    )


def _metrics(row: Row, reports: Sequence[Mapping[str, Any]], confidence: float) -> list[Record]:
    return [
        _record(row, row.label, metric, estimate_metric(reports, metric, confidence=confidence))
        for metric in METRICS
    ]


def _recalls(
    row: Row, cells: Sequence[Cell], reports: Sequence[Mapping[str, Any]], confidence: float
) -> list[Record]:
    """Return the recall of each of the rarest classes, beside its share of all images.

    A class without a test image has no recall, only a share.

    Source: Fig. 2 of the paper.
    """
    data: dict[str, Any] = read_json(cells[0].folder / "data.json")
    names, counts = data["class_names"], data["counts"]
    images = np.sum([counts[split] for split in counts], axis=0)
    records = []
    for label in bottom_quarter(np.array(counts["train"])).tolist():
        name = names[label]
        known = [report for report in reports if name in report["classes"]]
        if known:
            recall = estimate_recall(known, name, confidence=confidence)
            records.append(_record(row, name, "recall", recall))
        if row.when == "before":
            share = Estimate(float(images[label] / images.sum()), None, None, len(cells))
            records.append(replace(_record(row, name, "share_of_data", share), when=""))
    return records


def paper_note(experiment: Experiment) -> str:
    """Return the sentence that says what the paper's figures are."""
    data = {"deepfashion": "DeepFashion", "deepfashion2": "DeepFashion2"}[experiment.preset]
    printed = "" if any(row.paper for row in experiment.rows) else ", and prints no numbers here"
    return f"The paper shows one run on {data}, without spread{printed}."


def interval_note(records: Sequence[Record], *, confidence: float) -> str:
    """Return the sentence that says what the intervals are."""
    seeds = sorted({one.seeds for one in records})
    percent = f"{100 * confidence:g} %"
    if not seeds or seeds == [1]:
        return f"Intervals: {percent}, over the test images of one run; training again varies more."
    number = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    note = f"Mean of {number} seeds. Intervals: {percent}, Student's t over seeds"
    return note + (", over test images where there is one." if seeds[0] == 1 else ".")


def write_csv(path: Path, records: Sequence[Record]) -> None:
    """Write a line for each record; numbers are fractions, and empty where there are none."""
    text = io.StringIO()
    names = [one.name for one in fields(Record)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(record) for record in records)
    write_text(path, text.getvalue())


def as_json(
    experiment: Experiment,
    records: Sequence[Record],
    failures: Mapping[str, str],
    *,
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return what the JSON file holds."""
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "notes": list(notes),
        "records": [asdict(record) for record in records],
        "failures": dict(failures),
    }


def write_files(
    folder: Path, experiment: Experiment, records: Sequence[Record], content: Mapping[str, Any]
) -> None:
    """Write the CSV and the JSON file of an experiment."""
    write_csv(folder / f"{experiment.name}.csv", records)
    write_json(folder / f"{experiment.name}.json", content)
