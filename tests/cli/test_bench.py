"""``fdmo bench onnx``: what is measured and how it is told; never how long it takes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from fdmo_core.manifest import add_to_manifest
from fdmo_export.pictures import MAX_PIXELS

Command = Callable[..., subprocess.CompletedProcess[str]]

QUICK = ("--seconds", 0, "--size", "40x30")
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # an import of it fails
from fdmo_cli.main import main

sys.argv[0] = "fdmo"
main()
"""


def test_json_has_a_line_for_each_batch_size_and_way(
    fdmo: Command, onnx_file: Path, run_folder: Path, tmp_path: Path
) -> None:
    sizes = ("--batch", 1, "--batch", 3)
    out = tmp_path / "new" / "bench.json"

    result = fdmo(
        "bench", "onnx", onnx_file, "--run", run_folder, *sizes, *QUICK, "--out", out, "--json"
    )

    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report == json.loads(out.read_text())
    assert report["file"] == str(onnx_file)
    assert report["input"] == [30, 40, 3]
    assert report["threads"] >= 1
    assert report["processor"]
    assert report["versions"].keys() == {"fdmo", "onnxruntime", "torch"}
    assert [(line["by"], line["batch_size"]) for line in report["timings"]] == [
        ("onnxruntime cpu", 1),
        ("torch eager", 1),
        ("onnxruntime cpu", 3),
        ("torch eager", 3),
    ]
    for line in report["timings"]:
        assert line["batches"] == 5
        assert 0 < line["p50"] <= line["p95"] <= line["p99"]
        assert line["samples_per_second"] > 0


def test_the_table_says_the_machine_the_versions_and_the_figures(
    fdmo: Command, onnx_file: Path
) -> None:
    result = fdmo("bench", "onnx", onnx_file, "--batch", 2, *QUICK)

    machine, file, heading, line = result.stdout.splitlines()
    assert " threads; fdmo " in machine
    assert machine.split("; ")[1].startswith(f"fdmo {version('fdmo')}, onnxruntime ")
    assert file == f"{onnx_file}, inputs of 30 x 40 x 3"
    assert heading.split() == [
        *("by", "batch", "batches", "samples/s", "p50", "ms", "p95", "ms", "p99", "ms")
    ]
    assert line.split()[:4] == ["onnxruntime", "cpu", "2", "5"]


def test_without_a_run_torch_is_not_imported(onnx_file: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, "bench", "onnx", str(onnx_file)]

    result = subprocess.run(
        [*command, *map(str, QUICK), "--json"], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert "torch" not in report["versions"]
    assert [line["batch_size"] for line in report["timings"]] == [1, 8]


def test_a_file_of_letterboxed_images_is_given_such(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "plain.onnx"
    exported = fdmo("export", "onnx", run_folder, "--no-preprocessing", "--out", path)
    assert exported.returncode == 0, exported.stderr

    result = fdmo("bench", "onnx", path, "--run", run_folder, "--batch", 1, *QUICK, "--json")

    report = json.loads(result.stdout)
    assert report["input"] == [3, 24, 24]
    assert [line["by"] for line in report["timings"]] == ["onnxruntime cpu", "torch eager"]


def test_another_run_than_that_of_the_file_is_refused(
    fdmo: Command, onnx_file: Path, run_folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(run_folder, other)
    head = json.loads((other / "model.json").read_text())
    head["config"]["seed"] = 99
    (other / "model.json").write_text(json.dumps(head))
    add_to_manifest(other, ["model.json"])

    result = fdmo("bench", "onnx", onnx_file, "--run", other, *QUICK)

    assert result.returncode == 1
    assert result.stderr == (
        f"Error: The file was not exported from {other}: their configurations differ. Expected the "
        f"run of the file, for its network is timed against it. Pass that run, or leave --run "
        f"out.\n"
    )


@pytest.mark.parametrize("size", ["640", "640x", "0x480", "640x480x3", "a x b", "99999x99999"])
def test_a_size_that_is_none_is_refused(fdmo: Command, onnx_file: Path, size: str) -> None:
    result = fdmo("bench", "onnx", onnx_file, "--size", size)

    assert result.returncode == 1
    assert result.stderr == (
        f"Error: --size is '{size}'. Expected width and height, at most {MAX_PIXELS} pixels. Pass "
        f"for instance --size 640x480.\n"
    )


def test_a_report_that_cannot_be_written_is_told_before_anything_is_measured(
    fdmo: Command, onnx_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")

    result = fdmo("bench", "onnx", onnx_file, "--seconds", 600, "--out", tmp_path / "file" / "a")

    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: Cannot write {tmp_path}/file: ")
