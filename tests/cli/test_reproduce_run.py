"""``fdmo reproduce-run``: the run of the fixtures once more, and what is said of it."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fdmo_core.manifest import add_to_manifest

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_a_run_is_repeated_bit_for_bit(run_folder: Path, fdmo: Command, tmp_path: Path) -> None:
    again = tmp_path / "again"

    result = fdmo("reproduce-run", run_folder, "--out", again)

    assert result.returncode == 0, result.stderr
    assert result.stdout == (
        f"{again} equals {run_folder} in data, terms of all steps, dictionary, model, metrics.\n"
    )
    for name in ("config.toml", "model.safetensors", "metrics.json"):
        assert (again / name).read_bytes() == (run_folder / name).read_bytes()


@pytest.fixture
def altered(run_folder: Path, tmp_path: Path) -> Path:
    """A run whose figures are not those that its settings lead to, by another version."""
    folder = tmp_path / "altered"
    shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("export"))
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["test"]["after"]["top1"] = 1.5
    (folder / "metrics.json").write_text(json.dumps(metrics))
    environment = json.loads((folder / "environment.json").read_text())
    environment["packages"]["torch"] = "1.0"
    (folder / "environment.json").write_text(json.dumps(environment))
    add_to_manifest(folder, ["metrics.json", "environment.json"])
    return folder


def test_the_first_difference_and_what_changed_are_reported(altered: Path, fdmo: Command) -> None:
    result = fdmo("reproduce-run", altered, "--json")

    assert result.returncode == 1
    told = json.loads(result.stdout)
    assert (told["again"], told["equal"]) == (f"{altered}-again", False)
    assert told["first_difference"].startswith("metrics.json: test.after.top1 was 1.5, is 0.")
    (changed,) = told["changed"]
    assert changed.startswith("packages.torch was '1.0', is ")
    assert f"Notice: not as it was: {changed}" in result.stderr


def test_a_run_that_is_not_finished_is_refused(
    run_folder: Path, fdmo: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "stopped"
    shutil.copytree(run_folder, folder)
    (folder / "metrics.json").unlink()

    result = fdmo("reproduce-run", folder)

    assert result.returncode == 1
    assert result.stderr == (
        f"Error: {folder} is not finished. Expected a finished run. Finish it with 'fdmo train "
        f"--resume {folder}'.\n"
    )


def test_a_configuration_that_was_edited_is_refused(
    run_folder: Path, fdmo: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "edited"
    shutil.copytree(run_folder, folder)
    with (folder / "config.toml").open("a") as file:
        file.write("\n# a remark\n")

    result = fdmo("reproduce-run", folder)

    assert result.returncode == 1
    assert f"{folder / 'config.toml'} is not what the run wrote" in result.stderr
