"""A run that a signal stops anywhere ends, gone on with, as one that was never stopped."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fdmo_cli.main import main
from fdmo_core import evaluation, phase2, prefix_cache
from fdmo_core.journal import Journal
from fdmo_core.randomness import seeded
from fdmo_plugins.small_vgg.extractor import SmallVgg

InProcesses = Callable[..., list[Any]]
SETTINGS = (
    *("data.largest_class=8", "data.imbalance_ratio=4", "data.image_size=24"),
    *("data.val_per_class=1", "data.test_per_class=1", "phase1.batch_size=19"),
    *("texture_stream.channels=[4, 8]", "shape_stream.channels=[4, 8]"),
    *("texture_stream.freeze_stages=1", "shape_stream.freeze_stages=1"),
    *("phase1.shape_epochs=1", "phase1.epochs=1", "rebalancer.epochs=1"),
    *("rebalancer.samples_per_class=4", "rebalancer.batch_size=24"),
    *("generator.hidden=[16, 16]", "generator.discriminator_hidden=[16, 16]"),
    *("metrics.bootstrap_samples=100", "cache.folder=cache", "cache.views=1"),
)
TRAIN = (
    *("train", "--device", "cpu", "--json", "--out", "run"),
    *(part for setting in SETTINGS for part in ("--set", setting)),
)
RESUME = ("train", "--device", "cpu", "--json", "--resume", "run")
PLACES = ("cache train", "phase1", "dictionary", "phase2", "evaluate test")
NOT_COMPARED = ("log.jsonl", "environment.json", "manifest.json", ".lock")  # times and commands


def fdmo(folder: str, place: str, number: int, *arguments: str) -> None:
    """Run the command; at the second step of a place this process sends itself a signal."""
    step, progress, replaced = Journal.step, Journal.progress, (SmallVgg, Journal)
    vgg: Any
    journal: Any
    vgg, journal = replaced

    def stop_at(name: str, index: int) -> None:
        if name == place and index == 1:
            os.kill(os.getpid(), number)

    def watched_step(self: Journal, name: str, index: int, *rest: Any) -> None:
        stop_at(name, index)
        step(self, name, index, *rest)

    def watched_progress(self: Journal, name: str, done: int, total: int) -> None:
        stop_at(name, done)
        progress(self, name, done, total)

    def load_equal_weights(extractor: SmallVgg) -> None:  # as ImageNet weights, one file for both
        with seeded(0, "equal"):
            other = SmallVgg(extractor.config.model_copy())
        extractor.load_state_dict(other.state_dict())

    vgg.load_initial_weights = load_equal_weights
    journal.step, journal.progress = watched_step, watched_progress
    for module, name in ((evaluation, "EVALUATE"), (phase2, "EXTRACT"), (prefix_cache, "WRITE")):
        setattr(module, f"{name}_BATCH", 5)  # so that there is something for each process
    os.chdir(folder)
    sys.argv = ["fdmo", *arguments]
    try:
        main()
    except SystemExit as leaving:
        if leaving.code:
            raise


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in NOT_COMPARED
    }


@pytest.fixture(scope="module")
def whole(
    in_processes: InProcesses, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, dict[str, bytes]]:
    """What an uninterrupted run leaves, by the number of processes."""
    found = {}
    for size in (1, 2):
        folder = tmp_path_factory.mktemp("whole")
        in_processes(size, fdmo, str(folder), "", 0, *TRAIN, seconds=60)
        found[size] = contents(folder / "run")
    return found


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", [1, 2])
def test_a_stopped_run_goes_on_and_ends_with_the_same_bits(
    in_processes: InProcesses,
    whole: dict[int, dict[str, bytes]],
    tmp_path: Path,
    size: int,
    place: str,
) -> None:
    number = signal.SIGINT if place == "phase2" else signal.SIGTERM

    stopped = in_processes(
        size, fdmo, str(tmp_path), place, int(number), *TRAIN, outcomes=True, seconds=60
    )

    assert [code for code, _ in stopped] == [128 + number] * size, stopped
    assert f"Stopped by {number.name} " in stopped[0][1]
    assert not (tmp_path / "run" / "lock.json").exists()
    in_processes(size, fdmo, str(tmp_path), "", 0, *RESUME, seconds=60)
    found, expected = contents(tmp_path / "run"), whole[size]
    assert found.keys() == expected.keys()
    assert [name for name, one in found.items() if one != expected[name]] == []
