"""Finished runs as files, without the training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fdmo_cli.reproduction.definitions import Experiment
from fdmo_core.config import Run
from fdmo_core.experiments import Cell

CLASSES = ("tee", "skirt", "coat", "cape", "robe")
TRAIN = (50, 30, 20, 3, 2)
TEST = (10, 10, 10, 10, 0)
WriteCells = Callable[..., dict[str, Cell]]


def report(correct: tuple[int, ...], shift: float) -> dict[str, Any]:
    """Return one classifier's part of metrics.json."""
    return {
        "samples": sum(TEST),
        "confidence": 0.95,
        "top1": sum(correct) / sum(TEST),
        "acsa": 0.5 + shift,
        "acsa_interval": [0.4, 0.6],
        "geometric_mean": 0.3,
        "geometric_mean_interval": [0.2, 0.35],
        "classes": {
            name: {"correct": hits, "test": 10, "recall": hits / 10, "interval": [0.0, 0.9]}
            for name, hits in zip(CLASSES, correct, strict=False)
        },
    }


@pytest.fixture
def write_cells(tiny_run: Callable[..., Run], tmp_path: Path) -> WriteCells:
    """A function that writes the finished cells of one seed; those named in ``without`` failed."""

    def write(
        experiment: Experiment, *, seed: int = 0, without: tuple[str, ...] = ()
    ) -> dict[str, Cell]:
        cells = {}
        for index, name in enumerate(experiment.cells):
            folder = tmp_path / f"seed-{seed}" / name
            cells[name] = Cell(name, tiny_run(), folder)
            if name in without:
                continue
            folder.mkdir(parents=True)
            before = report((9, 5, 4, 0), 0.01 * seed)
            after = report((8, 6, 5, 3 + seed), 0.01 * seed + 0.001 * index)
            metrics = {"val": None, "test": {"before": before, "after": after}}
            counts = {"train": TRAIN, "val": (0,) * 5, "test": TEST}
            (folder / "metrics.json").write_text(json.dumps(metrics))
            (folder / "data.json").write_text(
                json.dumps({"class_names": CLASSES, "counts": counts})
            )
        return cells

    return write
