"""From the files of cells to figures, differences and verdicts."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from fdmo_cli.comparison.methods import Method
from fdmo_cli.comparison.plan import Planned
from fdmo_cli.comparison.results import collect
from fdmo_core.config import Run
from fdmo_core.engine import evaluate
from fdmo_core.errors import DataError
from fdmo_core.evaluation import Scored
from fdmo_core.experiments import Cell
from fdmo_core.metrics import MetricsConfig
from fdmo_core.world import World

CLASSES = ("tee", "skirt", "cape")
LABELS = np.repeat([0, 1, 2], [300, 200, 40])
CONFIG = MetricsConfig(bootstrap_samples=200)
MakeCell = Callable[..., Planned]


def predictions(accuracy: float, seed: int) -> NDArray[np.int64]:
    """Return predictions of which so many are right; a higher accuracy is right on more images."""
    luck = np.random.default_rng(seed).uniform(size=len(LABELS))
    return np.where(luck < accuracy, LABELS, (LABELS + 1) % 3)


@pytest.fixture
def cell(tiny_run: Callable[..., Run], tmp_path: Path) -> MakeCell:
    """A function that writes the files of a finished cell."""

    def make(
        method: str, seed: int, accuracy: float, *, images: str = "same", is_finished: bool = True
    ) -> Planned:
        space = tmp_path / "spaces" / str(seed)
        folder = tmp_path / "cells" / method / str(seed)
        for one in (space, folder):
            one.mkdir(parents=True, exist_ok=True)
        counts = {"train": [100, 20, 3], "val": [0] * 3, "test": [300, 200, 40]}
        data = {"class_names": CLASSES, "counts": counts}
        (space / "data.json").write_text(json.dumps(data))
        (space / "test.json").write_text(json.dumps({"digest": images, "out_of_fold": False}))
        found = predictions(accuracy, seed)
        tensors = {"test.predictions": found.astype(np.int32), "test.labels": LABELS}
        save_file(tensors, folder / "predictions.safetensors")
        if is_finished:
            (folder / "metrics.json").write_text(json.dumps(report(found)))
        name = f"{method}/{seed}"
        return Planned(Method(method, ()), seed, Cell(name, tiny_run(seed=seed), folder), space)

    return make


def report(found: NDArray[np.int64]) -> dict[str, object]:
    logits = torch.nn.functional.one_hot(torch.from_numpy(found), 3).float()
    scored = [Scored({"after": logits}, torch.from_numpy(LABELS))]
    metrics = evaluate(
        {"test": scored},
        ["after"],
        class_names=CLASSES,
        train_counts=np.array([100, 20, 3]),
        config=CONFIG,
        seed=0,
        world=World(),
    )
    metrics["test"]["after"]["ece"] = 0.1
    return {**metrics, "steps": 3, "seconds": 2.0}


def test_a_clear_winner_and_a_clear_loser_are_told(cell: MakeCell) -> None:
    cells = [
        cell(name, seed, accuracy + 0.002 * seed * (name == "base"))
        for name, accuracy in (("base", 0.7), ("good", 0.85), ("bad", 0.5))
        for seed in range(3)
    ]

    found = collect(cells, "base", CONFIG)

    assert found.same_images
    assert [one.method for one in found.results] == ["good", "base", "bad"]
    verdicts = [one.against and one.against.verdict for one in found.results]
    assert verdicts == ["better", None, "worse"]
    assert found.ranks is not None
    assert found.ranks.methods == ("good", "base", "bad")
    assert found.ranks.mean_ranks == (1, 2, 3)


def test_intervals_of_a_difference_hold_it_and_are_far_from_0_for_a_clear_one(
    cell: MakeCell,
) -> None:
    cells = [cell(name, seed, at) for name, at in (("a", 0.6), ("b", 0.8)) for seed in range(3)]

    against = collect(cells, "a", CONFIG).results[0].against

    assert against is not None
    for gain in against.gains.values():
        assert gain.low is not None
        assert 0 < gain.bootstrap_low < gain.mean < gain.bootstrap_high
    assert against.p_value == against.p_holm  # of one comparison


def test_only_seeds_that_both_finished_are_compared(cell: MakeCell) -> None:
    cells = [
        *(cell("base", seed, 0.7) for seed in range(3)),
        *(cell("other", seed, 0.8, is_finished=seed < 2) for seed in range(3)),
    ]

    found = collect(cells, "base", CONFIG)

    against = found.results[0].against
    assert against is not None
    assert against.seeds == (0, 1)
    assert found.ranks is None  # of one method that all seeds finished
    assert found.results[0].seeds == (0, 1)


def test_seeds_with_other_images_are_known(cell: MakeCell) -> None:
    cells = [cell(name, seed, 0.7, images=str(seed)) for name in "ab" for seed in range(2)]

    assert not collect(cells, "a", CONFIG).same_images


def test_without_the_baseline_there_is_nothing_to_compare_with(cell: MakeCell) -> None:
    cells = [cell("base", 0, 0.7, is_finished=False), cell("other", 0, 0.8)]

    with pytest.raises(DataError, match="No run of the baseline 'base' came to its end"):
        collect(cells, "base", CONFIG)


def test_cells_that_were_tested_on_other_images_are_refused(cell: MakeCell) -> None:
    cells = [cell("a", 0, 0.7), cell("b", 0, 0.8)]
    tensors = {"test.predictions": LABELS[:9].astype(np.int32), "test.labels": LABELS[:9]}
    save_file(tensors, cells[1].cell.folder / "predictions.safetensors")

    with pytest.raises(DataError, match="were tested on other images with seed 0"):
        collect(cells, "a", CONFIG)


def test_one_seed_has_the_interval_of_its_test_images_and_no_spread(cell: MakeCell) -> None:
    found = collect([cell("a", 0, 0.7), cell("b", 0, 0.8)], "a", CONFIG)

    acsa = found.results[0].figures["acsa"]
    assert acsa.sd is None
    assert acsa.low is not None
    assert found.results[0].against is not None
    assert found.results[0].against.gains["acsa"].low is None
