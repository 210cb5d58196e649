"""``fdmo runs`` on copies of the fixtures' run."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def runs(run_folder: Path, tmp_path: Path) -> Path:
    """A folder with a finished run, a stopped one, and a name that breaks lines."""
    folder = tmp_path / "runs"
    for name in ("done", "stopped", "new\nline"):
        shutil.copytree(run_folder, folder / name, ignore=shutil.ignore_patterns("export"))
    (folder / "stopped" / "metrics.json").unlink()
    return folder


def test_the_list_has_a_line_for_each_run(runs: Path, fdmo: Command) -> None:
    result = fdmo("runs", "list", runs)

    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert sum("finished" in line for line in lines) == 2
    assert sum("stopped: phase2, step" in line for line in lines) == 1
    assert any("new\\nline" in line for line in lines)


def test_the_list_is_plain_data_on_request(runs: Path, fdmo: Command) -> None:
    told = json.loads(fdmo("runs", "list", runs, "--json").stdout)

    assert {Path(one["folder"]).name: one["state"] for one in told} == {
        "done": "finished",
        "new\nline": "finished",
        "stopped": "stopped",
    }


def test_an_empty_folder_and_a_missing_one_are_told(fdmo: Command, tmp_path: Path) -> None:
    assert fdmo("runs", "list", tmp_path).stdout == f"No run in {tmp_path}.\n"

    missing = fdmo("runs", "list", tmp_path / "none")
    assert missing.returncode == 1
    assert missing.stderr.startswith(f"Error: {tmp_path / 'none'} is no folder.")


def test_a_run_is_shown_with_what_differs_from_the_defaults(runs: Path, fdmo: Command) -> None:
    text = fdmo("runs", "show", runs / "done").stdout
    told = json.loads(fdmo("runs", "show", runs / "done", "--json").stdout)

    assert "state: finished\n" in text
    assert "  phase1.batch_size: 16\n" in text
    assert told["settings"]["seed"] == 3
    assert told["settings"]["generator.name"] == "convexgan"
    assert "phase1.learning_rate" not in told["settings"]
    assert told["classes"] == 12
    assert told["packages"]["torch"]


def test_whole_runs_are_verified(runs: Path, fdmo: Command) -> None:
    result = fdmo("runs", "verify", runs / "done", runs / "new\nline")

    assert result.returncode == 0
    assert result.stdout == (
        f"{runs}/done: all files are as they were written\n"
        f"{runs}/new\\nline: all files are as they were written\n"
    )


def test_damage_is_told_a_line_for_each_file(runs: Path, fdmo: Command) -> None:
    (runs / "done" / "model.json").write_text("{}")

    result = fdmo("runs", "verify", runs / "done", runs / "stopped", "--json")

    assert result.returncode == 1
    told = json.loads(result.stdout)
    assert [one["name"] for one in told[str(runs / "done")]] == ["model.json"]
    assert told[str(runs / "stopped")] == [{"name": "metrics.json", "problem": "it is missing"}]


def test_an_export_is_listed_and_its_damage_told(
    run_folder: Path, fdmo: Command, tmp_path: Path
) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(run_folder, copied, ignore=shutil.ignore_patterns("export"))
    assert fdmo("export", "onnx", copied, "--max-images", 4).returncode == 0
    assert fdmo("runs", "verify", copied).returncode == 0

    (copied / "export" / "parity.json").write_text("{}")
    with (copied / "export" / "model.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")

    result = fdmo("runs", "verify", copied)
    assert result.returncode == 1
    assert f"{copied}/export/model.onnx: its SHA-256 is another one\n" in result.stdout
    assert f"{copied}/export/parity.json: it has 2 bytes instead of " in result.stdout


def test_a_run_is_removed(runs: Path, fdmo: Command) -> None:
    result = fdmo("runs", "remove", runs / "done", "--yes")

    assert (result.returncode, result.stdout) == (0, f"Removed {runs}/done\n")
    assert not (runs / "done").exists()
    assert (runs / "stopped").exists()


def test_a_run_whose_phase_1_is_lent_stays_unless_told_otherwise(runs: Path, fdmo: Command) -> None:
    file = runs / "stopped" / "environment.json"
    environment = json.loads(file.read_text())
    file.write_text(json.dumps(environment | {"phase1_from": str((runs / "done").resolve())}))

    refused = fdmo("runs", "remove", runs / "done", "--yes")
    assert refused.returncode == 1
    assert f"Phase 1 of {runs}/done is that of {runs}/stopped as well." in refused.stderr

    assert fdmo("runs", "remove", runs / "done", "--yes", "--even-if-lent").returncode == 0
    assert not (runs / "done").exists()


def test_without_an_answer_nothing_is_removed(runs: Path, fdmo: Command) -> None:
    assert fdmo("runs", "remove", runs / "done").returncode == 1
    assert (runs / "done").is_dir()
