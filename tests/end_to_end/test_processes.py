"""The same run on one, two and three processes, by the command that torchrun starts."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fdmo_cli.main import main
from fdmo_core import evaluation, phase2, prefix_cache, run_folder
from fdmo_core.journal import Journal
from fdmo_core.randomness import seeded
from fdmo_core.recorder import Recorder
from fdmo_core.samples import Sample
from fdmo_plugins.datasets.garments.dataset import GarmentsSplit
from fdmo_plugins.small_vgg.extractor import SmallVgg, SmallVggConfig

InProcesses = Callable[..., list[Any]]
Tensors = dict[str, Tensor]

SIZES = (1, 2, 3)
IMAGES, BATCH = 78, 19  # the last batch holds two images, fewer than three processes
LEARNING_RATE = 2e-3
SETTINGS = (
    *("data.largest_class=12", "data.imbalance_ratio=4", "data.image_size=24"),
    *("data.val_per_class=2", "data.test_per_class=2", f"phase1.batch_size={BATCH}"),
    *(f"phase1.learning_rate={LEARNING_RATE}", f"phase1.shape_learning_rate={LEARNING_RATE}"),
    *("texture_stream.channels=[4, 8]", "shape_stream.channels=[4, 8]"),
    *("texture_stream.freeze_stages=1", "shape_stream.freeze_stages=1"),
    *("phase1.shape_epochs=1", "phase1.epochs=1", "dictionary.max_per_class=6"),
    *("rebalancer.epochs=1", "rebalancer.samples_per_class=4", "metrics.bootstrap_samples=100"),
    *("generator.hidden=[16, 16]", "generator.discriminator_hidden=[16, 16]"),
    *("cache.folder=cache", "cache.views=1"),
)


def load_equal_weights(extractor: SmallVgg) -> None:
    """Stand for ImageNet weights, which are one file for both streams."""
    with seeded(0, "equal"):
        other = SmallVgg(SmallVggConfig.model_validate(extractor.config.model_dump()))
    extractor.load_state_dict(other.state_dict())


def fdmo(folder: str, *arguments: str) -> None:
    """Run the command in a folder, with streams that share their frozen stage."""
    replaced: Any = SmallVgg
    replaced.load_initial_weights = load_equal_weights
    for module, name in ((evaluation, "EVALUATE"), (phase2, "EXTRACT"), (prefix_cache, "WRITE")):
        setattr(module, f"{name}_BATCH", 10)  # so that there is something for each process
    plain_fdmo(folder, *arguments)


def plain_fdmo(folder: str, *arguments: str) -> None:
    """Run the command in a folder."""
    os.chdir(folder)
    sys.argv = ["fdmo", *arguments]
    try:
        main()
    except SystemExit as leaving:
        if leaving.code:
            raise


def train(*settings: str, out: str = "run") -> list[str]:
    every = [part for setting in (*SETTINGS, *settings) for part in ("--set", setting)]
    return ["train", "--device", "cpu", "--json", "--out", out, *every]


@pytest.fixture(scope="module")
def runs(in_processes: InProcesses, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The run folder of each number of processes, beside the cache and what each process said."""
    folder = tmp_path_factory.mktemp("runs")
    for size in SIZES:
        own = folder / f"{size}"
        own.mkdir()
        outcomes = in_processes(size, fdmo, str(own), *train(), outcomes=True)
        assert [code for code, _ in outcomes] == [0] * size, outcomes
        for rank, (_, said) in enumerate(outcomes):
            (own / f"{rank}.err").write_text(said)
    return {size: folder / f"{size}" / "run" for size in SIZES}


@pytest.fixture(scope="module")
def borrowing(
    in_processes: InProcesses, runs: dict[int, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[int, Path]:
    """The run from one phase 1, that of one process, whose dictionary each builds anew."""
    folder = tmp_path_factory.mktemp("borrowing")
    for size in SIZES:
        (folder / f"{size}" / "run" / "checkpoints").mkdir(parents=True)
        (folder / f"{size}" / "run" / "dictionary").mkdir()
        name = "checkpoints/phase1.safetensors"
        shutil.copy(runs[1] / name, folder / f"{size}" / "run" / name)
        in_processes(size, go_on, str(folder / f"{size}"), *train())
    return {size: folder / f"{size}" / "run" for size in SIZES}


def go_on(folder: str, *arguments: str) -> None:
    """Run the command into a run folder that is there, as a run that goes on would."""
    replaced: Any = run_folder
    replaced.create_run_folder = lambda out, data: out
    fdmo(folder, *arguments)


def read(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text())


def phase1(run: Path) -> Tensors:
    tensors = load_file(run / "checkpoints" / "phase1.safetensors")
    return {name: one for name, one in tensors.items() if name.startswith("module.")}


def close(found: Tensors, expected: Tensors) -> None:
    """Compare what was learned: 99 of 100 numbers closely, all by what Adam can move.

    Where a slope is nothing but rounding, Adam takes a whole step in the direction of its sign.
    """
    assert found.keys() == expected.keys()
    steps = [(found[name] - one).abs().flatten() for name, one in expected.items()]
    moved = torch.cat(steps).double()
    assert float(moved.quantile(0.99)) < LEARNING_RATE / 4
    assert float(moved.max()) < 10 * 2 * LEARNING_RATE


def test_the_last_batch_is_smaller_than_the_number_of_processes(runs: dict[int, Path]) -> None:
    assert sum(read(runs[1], "data.json")["counts"]["train"]) == IMAGES
    assert IMAGES % BATCH == 2


def test_the_number_of_processes_is_recorded(runs: dict[int, Path]) -> None:
    assert [read(run, "environment.json")["processes"] for run in runs.values()] == [1, 2, 3]


def test_all_write_the_same_files(runs: dict[int, Path]) -> None:
    names = [
        {str(one.relative_to(run)) for one in run.rglob("*") if one.is_file()}
        for run in runs.values()
    ]

    assert names[0] == names[1] == names[2]
    assert not any(".tmp" in name for name in names[0])
    for name in ("data.json", "config.toml"):
        assert len({(run / name).read_bytes() for run in runs.values()}) == 1


@pytest.mark.parametrize("size", [2, 3])
def test_phase_1_learns_the_same_weights(runs: dict[int, Path], size: int) -> None:
    close(phase1(runs[size]), phase1(runs[1]))


@pytest.mark.parametrize("size", [2, 3])
def test_the_losses_of_every_step_are_the_same(runs: dict[int, Path], size: int) -> None:
    def losses(run: Path) -> list[dict[str, float]]:
        lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
        return [line for line in lines if line.get("phase") == "phase1"]

    steps = losses(runs[1])
    assert len(steps) == 2 * 5
    for found, expected in zip(losses(runs[size]), steps, strict=True):
        assert found.keys() == expected.keys()
        for name in expected.keys() - {"time", "phase"}:
            assert found[name] == pytest.approx(expected[name], rel=1e-4), name


@pytest.mark.parametrize("size", [2, 3])
def test_the_dictionary_holds_features_of_the_same_images(runs: dict[int, Path], size: int) -> None:
    tensors = [load_file(runs[one] / "dictionary" / "features.safetensors") for one in (size, 1)]

    assert read(runs[size], "dictionary/sources.json") == read(runs[1], "dictionary/sources.json")
    assert torch.equal(tensors[0]["sources"], tensors[1]["sources"])
    close(*tensors)


@pytest.mark.parametrize("size", [2, 3])
def test_from_one_phase_1_all_that_follows_is_equal_bit_for_bit(
    borrowing: dict[int, Path], size: int
) -> None:
    for name in (
        *("dictionary/features.safetensors", "dictionary/sources.json"),
        *("model.safetensors", "checkpoints/phase2.safetensors", "metrics.json"),
    ):
        assert (borrowing[size] / name).read_bytes() == (borrowing[1] / name).read_bytes(), name


def test_a_run_that_goes_on_after_phase_1_equals_the_uninterrupted_one(
    borrowing: dict[int, Path], runs: dict[int, Path]
) -> None:
    for name in ("dictionary/features.safetensors", "model.safetensors", "metrics.json"):
        assert (borrowing[1] / name).read_bytes() == (runs[1] / name).read_bytes(), name


@pytest.mark.parametrize("size", [2, 3])
def test_every_image_is_counted_once(runs: dict[int, Path], size: int) -> None:
    for split in ("val", "test"):
        for when in ("before", "after"):
            metrics = read(runs[size], "metrics.json")[split][when]
            assert metrics["samples"] == 24
            assert [one["test"] for one in metrics["classes"].values()] == [2] * 12


@pytest.mark.parametrize("size", [2, 3])
def test_processes_together_write_the_cache_that_one_writes(
    runs: dict[int, Path], size: int
) -> None:
    def files(run: Path) -> dict[str, bytes]:
        folder = run.parent / "cache"
        found = {str(one.relative_to(folder)): one for one in folder.rglob("*") if one.is_file()}
        return {name: one.read_bytes() for name, one in found.items() if name != ".lock"}

    alone = files(runs[1])
    assert {name.partition("-")[0] for name in alone} == {"train", "val", "test"}
    assert files(runs[size]) == alone


@pytest.mark.parametrize("size", [2, 3])
def test_the_first_process_alone_talks(runs: dict[int, Path], size: int) -> None:
    said = [(runs[size].parent / f"{rank}.err").read_text() for rank in range(size)]

    alone = (runs[1].parent / "0.err").read_text()
    free = r"[\d.]+ GiB are free"  # differs from one moment to the next
    assert re.sub(free, "", said[0]) == re.sub(free, "", alone)
    assert "they give all they have" in said[0]
    assert said[1:] == [""] * (size - 1)


def test_torchrun_starts_the_command_and_images_may_be_read_anew(
    in_processes: InProcesses, tmp_path: Path
) -> None:
    live = ("texture_stream.freeze_stages=0", "shape_stream.freeze_stages=0")
    options = ["--standalone", "--nproc-per-node", "2", "-m", "fdmo_cli"]
    in_processes(1, plain_fdmo, str(tmp_path), *train(*live, out="alone"))

    result = subprocess.run(
        [sys.executable, "-P", "-m", "torch.distributed.run", *options, *train(*live)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["metrics"] == read(tmp_path / "run", "metrics.json")
    assert read(tmp_path / "run", "environment.json")["processes"] == 2
    close(phase1(tmp_path / "run"), phase1(tmp_path / "alone"))


def restore_late(folder: str, *arguments: str) -> list[int]:
    """Run the command; the last process is slow to look for checkpoints. Return what it finds."""
    restore, found = Recorder.restore, list[int]()

    def watched(recorder: Recorder, phase: str, *rest: Any, journal: Journal) -> int:
        if os.environ["RANK"] == "1" and phase == "phase2":
            time.sleep(1.5)
        found.append(restore(recorder, phase, *rest, journal=journal))
        return found[-1]

    replaced: Any = Recorder
    replaced.restore = watched
    fdmo(folder, *arguments)
    return found


def test_a_slow_process_does_not_take_up_what_the_first_one_just_wrote(
    in_processes: InProcesses, tmp_path: Path
) -> None:
    assert in_processes(2, restore_late, str(tmp_path), *train()) == [[0, 0], [0, 0]]


def die_in_training(folder: str, *arguments: str) -> None:
    """Run the command; the last process is killed in the third step of phase 1."""
    step = Journal.step

    def watched(journal: Journal, phase: str, index: int, *rest: Any) -> None:
        if index == 2 and os.environ["RANK"] == str(int(os.environ["WORLD_SIZE"]) - 1):
            os.kill(os.getpid(), signal.SIGKILL)
        step(journal, phase, index, *rest)

    replaced: Any = Journal
    replaced.step = watched
    fdmo(folder, *arguments)


def fail_to_read(folder: str, *arguments: str) -> None:
    """Run the command; the last process can read ten images and no more."""
    read_sample, reads = GarmentsSplit.__getitem__, iter(range(1000))

    def watched(split: GarmentsSplit, index: int) -> Sample:
        if next(reads) >= 10 and os.environ["RANK"] == str(int(os.environ["WORLD_SIZE"]) - 1):
            raise OSError("the disk is gone")
        return read_sample(split, index)

    replaced: Any = GarmentsSplit
    replaced.__getitem__ = watched
    fdmo(folder, *arguments)


@pytest.mark.parametrize("stop", [die_in_training, fail_to_read])
def test_a_process_that_dies_ends_all_soon_with_a_message(
    in_processes: InProcesses, tmp_path: Path, stop: Callable[..., None]
) -> None:
    begin = time.monotonic()

    *others, last = in_processes(3, stop, str(tmp_path), *train(), outcomes=True, seconds=40)

    assert time.monotonic() - begin < 30
    assert last[0] == (-signal.SIGKILL if stop is die_in_training else 1)
    for rank, (code, message) in enumerate(others):
        assert code == 1
        assert message.splitlines()[-1].startswith(
            f"Error: Process {rank} lost another process of the run. Expected all 3 to live."
        )
        assert "Traceback" not in message


def test_a_folder_that_is_taken_stops_all_processes(
    in_processes: InProcesses, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()

    first, second = in_processes(2, fdmo, str(tmp_path), *train(), outcomes=True, seconds=30)

    assert first[1] == (
        "Error: run exists already. Expected a folder that is not there yet. Go on with that "
        "run by --resume, choose another folder with --out, or remove it.\n"
    )
    assert second[1] == (
        "Error: Process 1 stops with the first one. Expected the first one to go on. Look above "
        "for its message.\n"
    )


def test_folds_have_the_same_bits_on_one_and_on_two_processes(
    in_processes: InProcesses, runs: dict[int, Path], tmp_path: Path
) -> None:
    found: list[dict[str, Tensors]] = []
    for size in (1, 2):
        folder = tmp_path / f"{size}" / "run"
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "dictionary").mkdir()
        shutil.copy(runs[1] / "checkpoints" / "phase1.safetensors", folder / "checkpoints")
        settings = ("crossfit.dictionary=true", "crossfit.folds=3")
        in_processes(size, go_on, str(folder.parent), *train(*settings))
        parts = [*(folder / "crossfit").iterdir(), folder / "model.safetensors"]
        found.append({path.name: load_file(path) for path in parts})

    alone, together = found
    assert sorted(alone) == [
        *(f"fold-{fold}.safetensors" for fold in range(3)),
        "model.safetensors",
    ]
    assert alone.keys() == together.keys()
    for name, tensors in alone.items():
        assert all(torch.equal(tensor, together[name][key]) for key, tensor in tensors.items())
