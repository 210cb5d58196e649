import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

from fdmo_core.compute import Compute
from fdmo_core.config import Run, resolve_run
from fdmo_core.data import open_data
from fdmo_core.engine import train
from fdmo_core.errors import ConfigError, DataError, TrainingError
from fdmo_core.experiments import Cell, phase1_lenders, require_same_settings, run_cells
from fdmo_core.interfaces import Dataset
from fdmo_core.journal import Journal, Progress
from fdmo_core.network import Network
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.recorder import Recorder
from fdmo_core.registry import Registry
from fdmo_core.samples import Split, Splits
from fdmo_core.world import World, joined_world

CELLS: dict[str, dict[str, Any]] = {
    "ldam": {"loss": {"name": "ldam"}},
    "focal": {"loss": {"name": "focal"}},
    "no-aux": {"loss": {"name": "ldam"}, "model": {"auxiliary_classifier": False}},
}
TINY = {"data": {"name": "garments", "largest_class": 4, "imbalance_ratio": 2.0}}
Trainer = Callable[[Cell, Splits, Network, Path | None], object]


@pytest.fixture
def cells(tiny_run: Callable[..., Run], tmp_path: Path) -> list[Cell]:
    """Two cells with one phase 1, and one with another."""
    return [Cell(name, tiny_run(**settings), tmp_path / name) for name, settings in CELLS.items()]


@pytest.fixture(autouse=True)
def drawn_once(tiny_splits: Splits, tiny_run: Callable[..., Run], monkeypatch: Any) -> None:
    """The data set of the tiny run, drawn once for all tests."""
    component = tiny_run().data.component
    monkeypatch.setattr(component, "load", lambda _self: tiny_splits)


class Training:
    """Trains as a command does, and remembers from whose phase 1; some cells stop on the way."""

    def __init__(self, stop: dict[str, tuple[str, BaseException]] | None = None) -> None:
        self.lenders: dict[str, str | None] = {}
        self.phases: dict[str, list[str]] = {}
        self.stop = stop or {}

    def __call__(
        self, cell: Cell, splits: Splits, model: Network, phase1_from: Path | None
    ) -> None:
        self.lenders[cell.name] = None if phase1_from is None else phase1_from.name
        phases = self.phases.setdefault(cell.name, [])

        def show(progress: Progress) -> None:
            phases.append(progress.phase)
            phase, error = self.stop.get(cell.name, ("", None))
            if error is not None and progress.phase == phase:
                raise error

        compute = Compute(torch.device("cpu"))
        recorder = Recorder(cell.folder, cell.run, splits, compute)
        recorder.begin("test")
        with Journal(show=show) as journal:
            train(
                cell.run,
                splits,
                model,
                recorder,
                compute=compute,
                journal=journal,
                phase1_from=phase1_from,
            )


def run_all(cells: Sequence[Cell], training: Trainer) -> dict[str, str]:
    return run_cells(cells, train=training, world=World(), announce=lambda _cell: None)


def changed(cell: Cell, tiny_run: Callable[..., Run], **sections: Any) -> Cell:
    return replace(cell, run=tiny_run(**CELLS[cell.name] | sections))


def test_cells_with_equal_settings_of_phase_1_take_it_from_the_first(cells: list[Cell]) -> None:
    lenders = phase1_lenders(cells)

    assert {name: lender.name for name, lender in lenders.items()} == {
        "ldam": "ldam",
        "focal": "ldam",
        "no-aux": "no-aux",
    }


def test_another_precision_of_the_cache_is_another_phase_1(
    cells: list[Cell], tiny_run: Callable[..., Run]
) -> None:
    other = changed(cells[1], tiny_run, cache={"precision": "fp32"})

    assert phase1_lenders([cells[0], other])["focal"].name == "focal"


def test_phase_1_is_trained_once_for_all_that_share_it(cells: list[Cell]) -> None:
    training = Training()

    failures = run_all(cells, training)

    assert failures == {}
    assert training.lenders == {"ldam": None, "focal": "ldam", "no-aux": None}
    trained = {name for name, phases in training.phases.items() if "phase1" in phases}
    assert trained == {"ldam", "no-aux"}
    before = [cell.metrics()["test"]["before"] for cell in cells[:2]]
    assert before[0] == before[1]


def test_what_is_finished_is_not_trained_again(cells: list[Cell]) -> None:
    run_all(cells[:2], Training())
    training = Training()

    run_all(cells, training)

    assert list(training.phases) == ["no-aux"]


def test_a_cell_that_was_stopped_goes_on_and_ends_as_if_it_had_not(
    cells: list[Cell], tmp_path: Path
) -> None:
    run_all(cells[:2], Training())
    expected = [cell.metrics() for cell in cells[:2]]
    for cell in cells[:2]:
        shutil.rmtree(cell.folder)

    with pytest.raises(KeyboardInterrupt):
        run_all(cells[:2], Training({"ldam": ("phase2", KeyboardInterrupt())}))
    training = Training()
    run_all(cells[:2], training)

    assert "phase1" not in training.phases["ldam"]  # its checkpoint is complete
    assert [cell.metrics() for cell in cells[:2]] == expected


def test_a_cell_that_fails_lets_the_others_go_on(cells: list[Cell]) -> None:
    training = Training({"focal": ("phase2", TrainingError("It diverged."))})

    failures = run_all(cells, training)

    assert failures == {"focal": "It diverged."}
    assert [cell.is_finished for cell in cells] == [True, False, True]


def test_a_cell_whose_phase_1_failed_elsewhere_says_so(cells: list[Cell]) -> None:
    failures = run_all(cells, Training({"ldam": ("phase1", TrainingError("It diverged."))}))

    assert failures == {
        "ldam": "It diverged.",
        "focal": f"Phase 1 of 'ldam', which 'focal' goes on from, is not finished. Expected it in "
        f"{cells[0].folder}. See why that run failed, then start again.",
    }


def test_a_cell_that_fails_in_phase_2_still_lends_its_phase_1(cells: list[Cell]) -> None:
    failures = run_all(cells, Training({"ldam": ("phase2", TrainingError("It diverged."))}))

    assert list(failures) == ["ldam"]


def test_settings_that_changed_since_are_listed(
    cells: list[Cell], tiny_run: Callable[..., Run]
) -> None:
    run_all(cells[:1], Training())
    other = changed(cells[0], tiny_run, metrics={"top_k": 3}, phase1={"batch_size": 8})

    with pytest.raises(ConfigError) as caught:
        require_same_settings([other, *cells[1:]])

    assert str(caught.value) == (
        "Settings are not those that runs were begun with:\n"
        f"  metrics.top_k was 5, is 3: {other.folder}\n"
        f"  phase1.batch_size was 32, is 8: {other.folder}\n"
        "Expected the same settings. Choose another folder with --out, or go back to them."
    )


def test_settings_without_influence_on_the_result_may_change(
    cells: list[Cell], tiny_run: Callable[..., Run]
) -> None:
    run_all(cells[:1], Training())

    require_same_settings([changed(cells[0], tiny_run, loading={"workers": 1})])


def test_other_data_than_a_run_was_begun_with_is_refused(
    cells: list[Cell], tiny_splits: Splits, monkeypatch: Any
) -> None:
    run_all(cells[:1], Training())
    other = replace(tiny_splits, digest="other")
    monkeypatch.setattr(cells[0].run.data.component, "load", lambda _self: other)

    failures = run_all(cells[:2], Training())

    assert failures["focal"].startswith(f"The data is not what {cells[0].folder} was begun with")


def test_data_without_test_images_is_refused_before_training(
    cells: list[Cell], tiny_splits: Splits, monkeypatch: Any
) -> None:
    class Empty:
        labels = tiny_splits.test.labels[:0]

    empty: Split = Empty()  # type: ignore[assignment]
    without = replace(tiny_splits, test=empty)
    monkeypatch.setattr(cells[0].run.data.component, "load", lambda _self: without)
    training = Training()

    failures = run_all(cells[:1], training)

    assert failures["ldam"].startswith("The test split has no image. Expected some")
    assert training.phases == {}


def test_data_is_opened_once_for_cells_that_share_it(
    cells: list[Cell], tiny_splits: Splits, monkeypatch: Any
) -> None:
    opened: list[Dataset] = []

    def load(self: Dataset) -> Splits:
        opened.append(self)
        return tiny_splits

    monkeypatch.setattr(cells[0].run.data.component, "load", load)

    run_all(cells, Training())

    assert len(opened) == 1


def data_lost_in_the_second_process() -> dict[str, Any]:
    with joined_world(torch.device("cpu")) as world:
        run, opened = resolve_run(TINY, Registry(load_plugins())), list[str]()
        splits = open_data(run)

        def load(_self: Dataset) -> Splits:
            opened.append("once")
            if world.rank == 1 and len(opened) == 1:
                raise DataError("The disk is gone.")
            return splits

        setattr(run.data.component, "load", load)  # noqa: B010
        trained: list[str] = []
        with TemporaryDirectory() as folder:
            cells = [Cell(name, run, Path(folder, name)) for name in ("first", "second")]
            failures = run_cells(
                cells[:1],
                train=lambda cell, *_: trained.append(cell.name),
                world=world,
                announce=lambda _cell: None,
            )
            failures |= run_cells(
                cells[1:],
                train=lambda cell, *_: trained.append(cell.name),
                world=world,
                announce=lambda _cell: None,
            )
    return {"failures": failures, "trained": trained}


def test_processes_leave_a_cell_together_that_one_of_them_cannot_begin(
    in_processes: Callable[..., list[Any]],
) -> None:
    found = in_processes(2, data_lost_in_the_second_process)

    assert found == [{"failures": {"first": "The disk is gone."}, "trained": ["second"]}] * 2


def test_what_was_measured_is_read_from_the_folder(cells: list[Cell]) -> None:
    run_all(cells[:1], Training())

    assert cells[0].metrics() == json.loads((cells[0].folder / "metrics.json").read_text())
