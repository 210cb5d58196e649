"""``fdmo export triton``, from a run folder and from a file."""

import subprocess
from collections.abc import Callable
from pathlib import Path

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_a_file_is_copied_under_its_own_name(
    fdmo: Command, onnx_file: Path, tmp_path: Path
) -> None:
    result = fdmo("export", "triton", onnx_file, "repository", cwd=tmp_path)

    folder = tmp_path / "repository" / "model"
    assert result.stdout == (
        "Wrote repository/model\nNext: tritonserver --model-repository=repository\n"
    )
    assert (folder / "1" / "model.onnx").read_bytes() == onnx_file.read_bytes()
    assert sorted(one.name for one in folder.iterdir()) == ["1", "config.pbtxt", "labels.txt"]
    assert [one.name for one in (tmp_path / "repository").iterdir()] == ["model"]


def test_a_run_is_exported_first_with_the_settings_that_were_given(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    options = ("--max-batch", 0, "--kind", "cpu", "--instances", 2)

    result = fdmo("export", "triton", run_folder, tmp_path / "repository", *options)

    assert result.returncode == 0, result.stderr
    folder = tmp_path / "repository" / "garments"
    config = (folder / "config.pbtxt").read_text()
    assert config.startswith('name: "garments"\nbackend: "onnxruntime"\nmax_batch_size: 0\n')
    assert config.endswith("instance_group [ { count: 2 kind: KIND_CPU } ]\n")
    assert [one.name for one in (folder / "1").iterdir()] == ["model.onnx"]


def test_a_name_that_is_taken_is_told_before_the_run_is_read(fdmo: Command, tmp_path: Path) -> None:
    (tmp_path / "repository" / "shop").mkdir(parents=True)

    result = fdmo("export", "triton", "no-run", "repository", "--name", "shop", cwd=tmp_path)

    assert result.returncode == 1
    assert result.stderr.startswith("Error: repository/shop exists already. ")


def test_a_folder_that_is_no_run_is_an_error_and_leaves_nothing(
    fdmo: Command, tmp_path: Path
) -> None:
    result = fdmo("export", "triton", tmp_path, tmp_path / "repository")

    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: {tmp_path} is not a finished run: ")
    assert not (tmp_path / "repository").exists()
