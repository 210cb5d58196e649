"""The run folder while a run goes on, and what one run takes from another."""

import json
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fdmo_core.checkpoint import Position, checkpoint_files, read_checkpoint
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.errors import ConfigError, NonFiniteError, RunFolderError
from fdmo_core.faults import BadBatch
from fdmo_core.interfaces import FeatureBatch
from fdmo_core.journal import Journal
from fdmo_core.lent_phase1 import DECIDE_PHASE1, borrow_phase1
from fdmo_core.model_building import build_model
from fdmo_core.phase1 import Phase1State, start_phase1
from fdmo_core.phase2 import empty_dictionary
from fdmo_core.recorder import Recorder
from fdmo_core.run_folder import create_run_folder
from fdmo_core.samples import Splits
from fdmo_core.stopping import Interrupted
from fdmo_core.testing.expectations import differing, snapshot
from fdmo_core.testing.toys import toy_dictionary
from fdmo_core.world import World

MakeRun = Callable[..., Run]
Recording = Callable[..., tuple[Recorder, Phase1State]]
TrainInto = Callable[..., dict[str, Any]]
CPU = torch.device("cpu")


def recorder_of(
    folder: Path, run: Run, splits: Splits, *, rank: int = 0, size: int = 1
) -> Recorder:
    return Recorder(folder, run, splits, Compute(CPU, run.core.compute, World(rank, size)))


def state_of(run: Run) -> Phase1State:
    model = build_model(run, num_classes=12, num_landmarks=8)
    return start_phase1(model, run.core.phase1, Compute(CPU, run.core.compute))


def save(recorder: Recorder, state: Phase1State, position: Position) -> None:
    """Save phase 1, as it is saved after every step where ``checkpoint.steps`` is 1."""
    recorder.after_step("phase1", position, state.model, {"all": state.optimizer}, state.scaler)


def record_everything(recorder: Recorder) -> None:
    recorder.begin("fdmo train --seed 0")
    state = state_of(recorder.run)
    save(recorder, state, Position(1, 1))
    recorder.keep_dictionary(toy_dictionary([2, 1]))
    recorder.finish(state.model, {"test": None})


def files(folder: Path) -> set[str]:
    return {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}


def test_the_first_process_writes_the_run_folder(
    tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    folder = create_run_folder(tmp_path / "run", data="garments")

    record_everything(recorder_of(folder, tiny_run(), tiny_splits, rank=0, size=3))

    assert files(folder) == {
        *("config.toml", "environment.json", "data.json", "metrics.json", "manifest.json"),
        "checkpoints/phase1.safetensors",
        *("dictionary/toy.safetensors", "dictionary/sources.json"),
        *("model.json", "model.safetensors"),
    }
    environment = json.loads((folder / "environment.json").read_text())
    assert (environment["processes"], environment["command"]) == (3, "fdmo train --seed 0")
    sources = json.loads((folder / "dictionary" / "sources.json").read_text())
    assert sources == [tiny_splits.train.source(row) for row in (3, 10, 17)]


def test_the_other_processes_write_nothing(
    tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    folder = create_run_folder(tmp_path / "run", data="garments")

    for rank in (1, 2):
        record_everything(recorder_of(folder, tiny_run(), tiny_splits, rank=rank, size=3))

    assert files(folder) == set()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_phase_goes_on_from_its_checkpoint(
    tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path, precision: str
) -> None:
    run = tiny_run(compute={"precision": precision}, checkpoint={"steps": 1})
    recorder = recorder_of(create_run_folder(tmp_path / "run", data="x"), run, tiny_splits)
    saved, fresh = state_of(run), state_of(tiny_run(seed=1, compute={"precision": precision}))
    save(recorder, saved, Position(2, 9))

    done = recorder.restore(
        "phase1", fresh.model, {"all": fresh.optimizer}, fresh.scaler, journal=Journal()
    )

    assert done == 2
    assert differing(snapshot(saved.model), snapshot(fresh.model)) == []


def test_a_phase_without_a_checkpoint_begins_at_its_start(
    tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    recorder = recorder_of(create_run_folder(tmp_path / "run", data="x"), tiny_run(), tiny_splits)
    state = state_of(tiny_run())
    before = snapshot(state.model)

    optimizers = {"all": state.optimizer}
    assert recorder.restore("phase1", state.model, optimizers, journal=Journal()) == 0
    assert differing(before, snapshot(state.model)) == []


def checkpoints(recorder: Recorder) -> list[str]:
    return sorted(one.name for one in (recorder.folder / "checkpoints").iterdir())


@pytest.fixture
def recording(tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path) -> Recording:
    """A function that returns a recorder of a new folder, and a state, by ``[checkpoint]``."""

    def make(**config: Any) -> tuple[Recorder, Phase1State]:
        run = tiny_run(checkpoint=config)
        folder = create_run_folder(tmp_path / "run", data="x")
        return recorder_of(folder, run, tiny_splits), state_of(run)

    return make


def kept_steps(recorder: Recorder, state: Phase1State, total: int) -> list[int]:
    """Return the steps of all after which a checkpoint was written."""
    file, kept = checkpoint_files(recorder.folder / "checkpoints", "phase1")[0], []
    for done in range(1, total + 1):
        save(recorder, state, Position(done, total))
        if file.exists() and read_checkpoint(file).head["done"] == done:
            kept.append(done)
    return kept


def test_a_checkpoint_is_due_after_so_many_steps_and_at_the_end(recording: Recording) -> None:
    assert kept_steps(*recording(steps=3), total=7) == [3, 6, 7]


def test_a_checkpoint_is_due_after_so_many_minutes(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 40))  # a step takes 40 s, twice where something is written
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))

    assert kept_steps(*recording(minutes=2.0), total=8) == [3, 6, 8]


def test_a_clock_that_is_set_back_changes_nothing(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", iter(range(10**9, 0, -(10**6))).__next__)

    assert kept_steps(*recording(steps=2), total=4) == [2, 4]


def test_a_run_that_is_asked_to_stop_saves_first(recording: Recording) -> None:
    recorder, state = recording()
    save(recorder, state, Position(1, 9))
    recorder.stop.receive(signal.SIGTERM, None)

    with pytest.raises(Interrupted, match=r"Stopped by SIGTERM after step 2 of 9 of phase1\."):
        save(recorder, state, Position(2, 9))

    assert checkpoints(recorder) == ["phase1.safetensors"]
    assert restored(recorder) == 2


def restored(recorder: Recorder, say: Callable[[str], None] = lambda _: None) -> int:
    """Return how far phase 1 is, by its checkpoints."""
    fresh = state_of(recorder.run)
    optimizers = {"all": fresh.optimizer}
    return recorder.restore(
        "phase1", fresh.model, optimizers, fresh.scaler, journal=Journal(say=say)
    )


def test_two_checkpoints_are_kept_while_a_run_goes_on_and_one_afterwards(
    recording: Recording,
) -> None:
    recorder, state = recording(steps=1)
    recorder.begin("fdmo train")
    for done in (1, 2, 3):
        save(recorder, state, Position(done, 3))
    last, before = checkpoint_files(recorder.folder / "checkpoints", "phase1")

    assert [read_checkpoint(file).head["done"] for file in (last, before)] == [3, 2]
    assert checkpoints(recorder) == ["phase1.previous.safetensors", "phase1.safetensors"]
    recorder.finish(state.model, {"test": None})
    assert checkpoints(recorder) == ["phase1.safetensors"]


@pytest.mark.parametrize("kind", ["damaged", "missing"])
def test_the_checkpoint_before_is_taken_where_the_last_one_is_not_whole(
    recording: Recording, kind: str
) -> None:
    recorder, state = recording(steps=1)
    for done in (1, 2, 3):
        save(recorder, state, Position(done, 9))
    last, _ = checkpoint_files(recorder.folder / "checkpoints", "phase1")
    last.write_bytes(last.read_bytes()[:-1]) if kind == "damaged" else last.unlink()
    said: list[str] = []

    assert restored(recorder, said.append) == 2

    assert said[-1].startswith("Taken up from ")
    if kind == "damaged":
        assert said[0].startswith(f"The checkpoint {last} cannot be read: ")
        assert said[0].endswith("The run goes on from the one before, of step 2.")


def test_without_a_whole_checkpoint_nothing_goes_on(recording: Recording) -> None:
    recorder, state = recording(steps=1)
    for done in (1, 2):
        save(recorder, state, Position(done, 9))
    for file in checkpoint_files(recorder.folder / "checkpoints", "phase1"):
        file.write_bytes(b"")

    with pytest.raises(RunFolderError, match=r"The checkpoint .*phase1\.safetensors cannot be"):
        restored(recorder)


def test_a_dictionary_that_is_there_is_loaded(recording: Recording) -> None:
    recorder, _ = recording()
    recorder.begin("fdmo train")
    model = build_model(recorder.run, num_classes=12, num_landmarks=8)
    assert recorder.restore_dictionary(model, Journal()) is None
    dictionary = empty_dictionary(recorder.run, model, num_classes=12)
    width = sum(model.stream_dims)
    dictionary.build([FeatureBatch(torch.ones(2, width), torch.tensor([1, 3]), torch.arange(2))])
    recorder.keep_dictionary(dictionary)

    loaded = recorder.restore_dictionary(model, Journal())

    assert loaded is not None
    assert loaded.class_sizes.tolist() == dictionary.class_sizes.tolist()
    file = recorder.folder / "dictionary" / "features.safetensors"
    file.write_bytes(file.read_bytes() + b"x")
    said: list[str] = []
    assert recorder.restore_dictionary(model, Journal(say=said.append)) is None
    assert said[0].startswith(f"{file} is not what the run wrote: it has ")
    assert said[0].endswith("The dictionary is built anew.")


@pytest.fixture(scope="module")
def lender(
    train_into: TrainInto,
    tiny_run: MakeRun,
    tiny_splits: Splits,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A finished run; no test changes it."""
    folder = tmp_path_factory.mktemp("lender") / "run"
    train_into(folder, tiny_run(), tiny_splits)
    return folder


def borrow(run: Run, splits: Splits, lender: Path, folder: Path) -> None:
    model = build_model(run, num_classes=12, num_landmarks=8)
    borrow_phase1(model, recorder_of(folder, run, splits), lender)


def test_a_run_that_borrows_phase_1_equals_a_whole_one_bit_for_bit(
    train_into: TrainInto, tiny_run: MakeRun, tiny_splits: Splits, lender: Path, tmp_path: Path
) -> None:
    run = tiny_run(loss={"name": "focal"}, rebalancer={"epochs": 2})
    whole = train_into(tmp_path / "whole", run, tiny_splits)

    borrowed = train_into(tmp_path / "borrowed", run, tiny_splits, phase1_from=lender)

    assert borrowed == whole
    first, second = (
        load_file(tmp_path / name / "model.safetensors") for name in ("whole", "borrowed")
    )
    assert differing(first, second) == []


def test_a_borrowed_dictionary_is_the_lender_s(
    tiny_run: MakeRun, tiny_splits: Splits, lender: Path, tmp_path: Path
) -> None:
    run = tiny_run()
    model = build_model(run, num_classes=12, num_landmarks=8)

    dictionary = borrow_phase1(model, recorder_of(tmp_path, run, tiny_splits), lender)

    held = load_file(lender / "dictionary" / "features.safetensors")
    assert torch.equal(dictionary.sources, held["sources"])
    assert torch.equal(torch.cat([part.features for part in dictionary.rows()]), held["features"])
    assert dictionary.class_sizes.tolist() == tiny_splits.counts("train").tolist()


OTHER: dict[str, Any] = {
    "seed": 3,
    "data": {"test_per_class": 3},
    "augmentation": {"rotation": 3.0},
    "texture_stream": {"convs_per_stage": 1},
    "shape_stream": {"convs_per_stage": 1},
    "landmark_head": {"name": "ldm", "visibility_weight": 2.0},
    "model": {"feature_ratio": 2},
    "phase1": {"learning_rate": 0.5},
    "dictionary": {"name": "memory", "max_per_class": 5},
    "compute": {"precision": "bf16"},
}


def test_every_section_that_decides_phase_1_is_tried() -> None:
    assert OTHER.keys() == set(DECIDE_PHASE1)


@pytest.mark.parametrize("section", OTHER)
def test_phase_1_of_another_configuration_is_refused(
    tiny_run: MakeRun, tiny_splits: Splits, lender: Path, tmp_path: Path, section: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        borrow(tiny_run(**{section: OTHER[section]}), tiny_splits, lender, tmp_path)

    assert str(caught.value) == (
        f"Phase 1 of {lender} was configured otherwise in: {section}. Expected equal settings. Use "
        f"the settings of {lender / 'config.toml'}, or train phase 1 anew."
    )


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"precision": "fp32"}, "cache.precision"), ({"views": 2}, "cache.views")],
)
def test_phase_1_on_other_caches_is_refused(
    tiny_run: MakeRun,
    tiny_splits: Splits,
    lender: Path,
    tmp_path: Path,
    changed: dict[str, Any],
    named: str,
) -> None:
    with pytest.raises(ConfigError, match=f"otherwise in: {named}\\. Expected equal"):
        borrow(tiny_run(cache=changed), tiny_splits, lender, tmp_path)


def test_every_difference_is_named(
    tiny_run: MakeRun, tiny_splits: Splits, lender: Path, tmp_path: Path
) -> None:
    run = tiny_run(seed=3, phase1={"epochs": 2}, cache={"views": 1})

    with pytest.raises(ConfigError, match=r"otherwise in: seed, phase1, cache\.views\."):
        borrow(run, tiny_splits, lender, tmp_path)


@pytest.mark.parametrize(
    "sections",
    [
        {"loss": {"name": "focal"}},
        {"generator": {"noise_dim": 4}},
        {"rebalancer": {"samples_per_class": 4}},
        {"metrics": {"top_k": 2}},
        {"loading": {"memory_mib": 1}},
        {"cache": {"folder": "elsewhere", "max_gib": 3.0}},
    ],
)
def test_what_does_not_decide_phase_1_may_differ(
    tiny_run: MakeRun, tiny_splits: Splits, lender: Path, tmp_path: Path, sections: dict[str, Any]
) -> None:
    borrow(tiny_run(**sections), tiny_splits, lender, tmp_path)


def test_phase_1_that_is_not_finished_is_refused(
    tiny_run: MakeRun, tiny_splits: Splits, lender: Path, tmp_path: Path
) -> None:
    run, folder = tiny_run(checkpoint={"steps": 1}), tmp_path / "stopped"
    shutil.copytree(lender, folder)
    state = state_of(run)
    save(recorder_of(folder, run, tiny_splits), state, Position(1, 2))

    with pytest.raises(RunFolderError) as caught:
        borrow(run, tiny_splits, folder, tmp_path)

    assert str(caught.value) == (
        f"Phase 1 of {folder} has 1 steps done. Expected all 2. Let that run finish first."
    )


@pytest.mark.parametrize(
    ("missing", "error"),
    [
        ("config.toml", ConfigError),
        ("checkpoints/phase1.safetensors", RunFolderError),
        ("dictionary/manifest.json", RunFolderError),
        ("dictionary/features.safetensors", RunFolderError),
    ],
)
def test_a_lender_without_one_of_the_files_is_refused(
    tiny_run: MakeRun,
    tiny_splits: Splits,
    lender: Path,
    tmp_path: Path,
    missing: str,
    error: type[Exception],
) -> None:
    shutil.copytree(lender, tmp_path / "lender")
    (tmp_path / "lender" / missing).unlink()

    with pytest.raises(error, match=Path(missing).name):
        borrow(tiny_run(), tiny_splits, tmp_path / "lender", tmp_path)


def test_phase_1_on_other_data_is_refused(
    tiny_run: MakeRun, tiny_splits: Splits, lender: Path, tmp_path: Path
) -> None:
    changed = replace(tiny_splits, digest="of files that changed meanwhile")

    with pytest.raises((ConfigError, RunFolderError), match="data"):
        borrow(tiny_run(), changed, lender, tmp_path)


@pytest.mark.parametrize("rank", [0, 1])
def test_what_processes_share_out_is_diagnosed_by_the_one_that_finds_it(
    tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path, rank: int
) -> None:
    recorder = recorder_of(tmp_path, tiny_run(), tiny_splits, rank=rank, size=2)
    guard = recorder.guard("dictionary", Journal(), is_shared=True)
    rows = torch.tensor([4, 9])
    batch = BadBatch(torch.tensor([0, 1]), torch.tensor([False, True]), rows)

    with pytest.raises(NonFiniteError, match=tiny_splits.class_names[1]) as caught:
        guard.refuse_features(7, torch.tensor([[1.0], [torch.inf]]), batch)

    assert tiny_splits.train.source(9) in str(caught.value)
    found = json.loads((tmp_path / "diagnosis-dictionary-7.json").read_text())
    assert found["classes"][tiny_splits.class_names[1]] == {"all": 1, "bad": 1}
    assert found["terms"] == {"features": "inf"}
