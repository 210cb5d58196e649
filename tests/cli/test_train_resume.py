"""``fdmo train --resume``: what it goes on with, what it refuses, and how a signal ends a run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
ADVICE = "Expected the same, so that the run ends with the same bits."


@pytest.fixture
def run(run_folder: Path, tmp_path: Path) -> Path:
    """A finished run that a test may change."""
    return Path(shutil.copytree(run_folder, tmp_path / "run"))


@contextmanager
def changed(file: Path) -> Iterator[Any]:
    """Yield what a JSON file holds, and write it back."""
    content = json.loads(file.read_text())
    yield content
    file.write_text(json.dumps(content))


def refused(result: subprocess.CompletedProcess[str]) -> str:
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    return result.stderr


def test_a_finished_run_has_nothing_left_to_do(fdmo: Command, run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}

    result = fdmo("train", "--resume", run, "--json")

    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == f"{run} is finished; nothing is left to do."
    assert json.loads(result.stdout) == {
        "run": str(run),
        "metrics": json.loads((run / "metrics.json").read_text()),
    }
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_run_that_lost_its_end_makes_it_anew(fdmo: Command, run: Path) -> None:
    names = ("metrics.json", "model.safetensors")
    expected = [(run / name).read_bytes() for name in names]
    for name in names:
        (run / name).unlink()

    result = fdmo("train", "--resume", run, "--json")

    assert result.returncode == 0, result.stderr
    assert [(run / name).read_bytes() for name in names] == expected


def test_other_settings_are_refused_with_a_list(fdmo: Command, run: Path) -> None:
    options = ("--seed", 4, "--set", "phase1.epochs=2", "--set", "loading.memory_mib=1")

    message = refused(fdmo("train", "--resume", run, *options))

    lines = [line.strip() for line in message.splitlines()]
    assert lines[0] == f"Error: {run} was begun with something else:"
    assert "phase1.epochs was 1, is 2" in lines
    assert "seed was 3, is 4" in lines
    assert lines[-1] == (
        f"{ADVICE} Go back to what it was, or train again in a new folder. By itself "
        f"--allow-changed would do for: loading.memory_mib."
    )


def test_a_configuration_that_was_edited_is_refused(fdmo: Command, run: Path) -> None:
    file = run / "config.toml"
    file.write_text(file.read_text().replace("seed = 3", "seed = 5"))

    assert "\n  seed was 3, is 5\n" in refused(fdmo("train", "--resume", run))


def edit(run: Path, what: str) -> None:
    if what.startswith("data."):
        with changed(run / "data.json") as data:
            data["digest"] = "abc" if what == "data.digest" else data["digest"]
            data["class_names"] = data["class_names"][:: -1 if what == "data.class_names" else 1]
        return
    with changed(run / "environment.json") as environment:
        section, _, name = what.partition(".")
        if name:
            environment[section][name] = "0.0.1"
        else:
            environment[section] = 77


@pytest.mark.parametrize("what", ["data.digest", "data.class_names"])
def test_other_data_are_refused_for_good(fdmo: Command, run: Path, what: str) -> None:
    edit(run, what)

    message = refused(fdmo("train", "--resume", run, "--allow-changed", what))

    assert f"\n  {what} was " in message
    assert message.endswith("Go back to what it was, or train again in a new folder.\n")


@pytest.mark.parametrize("what", ["packages.torch", "plugins.fdmo", "threads", "processes"])
def test_other_versions_and_machines_can_be_accepted(fdmo: Command, run: Path, what: str) -> None:
    edit(run, what)

    message = refused(fdmo("train", "--resume", run))
    accepted = fdmo("train", "--resume", run, "--allow-changed", what)

    assert f"\n  {what} was " in message
    assert message.endswith(
        f"Go back to what it was, or accept it, with other last digits, by --allow-changed {what}."
        "\n"
    )
    assert accepted.returncode == 0, accepted.stderr


def test_a_folder_without_a_run_is_refused(fdmo: Command, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        assert f"{folder} holds no run to go on with" in refused(fdmo("train", "--resume", folder))


@pytest.mark.parametrize("option", ["--out", "--phase1-from"])
def test_options_that_clash_are_refused(fdmo: Command, run: Path, option: str) -> None:
    message = refused(fdmo("train", "--resume", run, option, "other"))

    assert message == (
        f"Error: {option} cannot be given with --resume. Expected a run that goes on in its own "
        f"folder, with its own phase 1. Leave {option} out.\n"
    )


def test_changes_are_allowed_to_runs_that_go_on_alone(fdmo: Command) -> None:
    message = refused(fdmo("train", "--allow-changed", "seed"))

    assert message.startswith("Error: --allow-changed is for a run that goes on.")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_process_with_a_checkpoint(
    small: tuple[str, ...], tmp_path: Path, number: signal.Signals
) -> None:
    endless = (
        "--set",
        "phase1.epochs=100000",
        "--set",
        "data.imbalance_ratio=4",
        "--set",
        "data.largest_class=8",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "fdmo_cli", "train", "--out", "run", *small, *endless],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    log = tmp_path / "run" / "log.jsonl"
    while process.poll() is None and not (log.exists() and '"step": 2' in log.read_text()):
        time.sleep(0.01)
    assert not list((tmp_path / "run" / "checkpoints").iterdir())

    process.send_signal(number)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 128 + number
    last = said.splitlines()[-1]
    assert last.startswith(f"Stopped by {number.name} after step ")
    assert [one.name for one in (tmp_path / "run" / "checkpoints").iterdir()] == [
        "phase1.safetensors"
    ]
    assert not (tmp_path / "run" / "lock.json").exists()
