"""``fdmo export onnx --part generator`` in processes of its own."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
FILES = ["dictionary.npz", "generator-parity.json", "generator.onnx"]


@pytest.fixture(scope="module")
def written(
    fdmo: Command, run_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    out = tmp_path_factory.mktemp("generator") / "new"
    return fdmo("export", "onnx", run_folder, "--part", "generator", "--out", out, "--json")


def test_json_names_the_files_and_what_was_compared(
    written: subprocess.CompletedProcess[str],
) -> None:
    assert written.returncode == 0, written.stderr
    printed = json.loads(written.stdout)

    folder = Path(printed["generator"]).parent
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert printed["dictionary"] == str(folder / "dictionary.npz")
    assert [one["batch_size"] for one in printed["parity"]] == [1, 3, 17]
    assert all(one["agrees"] for one in printed["parity"])


def test_a_person_gets_the_differences_and_the_files_and_nothing_is_replaced_unasked(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "dictionary.npz").write_text("mine")
    command = ("export", "onnx", run_folder, "--part", "generator", "--out", tmp_path)

    refused = fdmo(*command)
    kept = (tmp_path / "dictionary.npz").read_text()
    result = fdmo(*command, "--overwrite")

    assert refused.returncode == 1
    assert refused.stderr.strip() == (
        f"Error: {tmp_path}/dictionary.npz is there already. Expected a folder without it. Choose "
        f"another one with --out, or replace it with --overwrite."
    )
    assert kept == "mine"
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Batch of  1 with 4 drawn: largest difference: features ")
    assert lines[2].startswith("Batch of 17 with 4 drawn: ")
    assert lines[3:] == [
        f"Wrote {tmp_path}/generator.onnx (0.0 MiB)",
        f"Wrote {tmp_path}/dictionary.npz (0.1 MiB)",
    ]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--data", "digits"), "--data"),
        (("--max-images", "5"), "--max-images"),
        (("--no-preprocessing", "--set", "data.image_size=24"), "--set and --no-preprocessing"),
    ],
)
def test_options_for_a_classifier_are_refused(
    fdmo: Command, run_folder: Path, tmp_path: Path, options: tuple[str, ...], named: str
) -> None:
    result = fdmo(
        *("export", "onnx", run_folder, "--part", "generator", "--out", tmp_path), *options
    )

    assert result.returncode == 1
    assert result.stderr == (
        f"Error: {named} would change how a classifier is exported. Expected none of it with "
        f"--part generator, which takes everything from the run. Leave it out.\n"
    )
    assert not list(tmp_path.iterdir())


def test_a_run_without_a_generator_is_an_error(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    config = ("--config", run_folder / "config.toml", "--phase1-from", run_folder)
    trained = fdmo("train", *config, "--plugin", "none", "--out", tmp_path / "none", "--json")
    assert trained.returncode == 0, trained.stderr

    result = fdmo(
        *("export", "onnx", tmp_path / "none", "--part", "generator", "--phase1-from", run_folder)
    )

    assert result.returncode == 1
    assert "Error: Rebalancer 'none' has 0 generators. Expected one that trained on" in (
        result.stderr
    )
    assert not (tmp_path / "none" / "export").exists()
