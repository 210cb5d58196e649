"""``fdmo export onnx`` in processes of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fdmo_cli.export_rendering import print_export
from fdmo_export.comparison import Comparison
from fdmo_export.opening import describe_file
from fdmo_export.operation import SourcePrior
from fdmo_export.parity import ImageParity, Parity
from fdmo_export.precision import PrecisionReport
from fdmo_export.write import Export

Command = Callable[..., subprocess.CompletedProcess[str]]

WITHOUT_RUNTIME = """
import sys
from importlib.machinery import PathFinder

class WithoutRuntime(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] != "onnxruntime":
            return super().find_spec(name, path, target)

sys.meta_path = [WithoutRuntime if one is PathFinder else one for one in sys.meta_path]
from fdmo_cli.main import main

sys.argv = ["fdmo", *sys.argv[1:]]
main()
"""


def test_json_names_the_file_and_what_was_compared(
    exported: subprocess.CompletedProcess[str], onnx_file: Path
) -> None:
    printed = json.loads(exported.stdout)

    assert printed.keys() == {"file", "parity", "precision", "prior", "external_data"}
    parity = printed["parity"]
    assert parity["split"] == "val"
    assert [one["batch_size"] for one in parity["network"]] == [1, 3, 17]
    assert all(one["agrees"] and one["label_flips"] == 0 for one in parity["network"])
    assert parity["images"]["agrees"]
    assert parity["images"]["images"] == 24
    assert exported.stderr == ""


def test_what_was_compared_is_written_beside_the_file_and_nothing_else(
    exported: subprocess.CompletedProcess[str], onnx_file: Path
) -> None:
    parity = json.loads((onnx_file.parent / "parity.json").read_text())

    assert parity == json.loads(exported.stdout) | {"file": "model.onnx"}
    assert sorted(path.name for path in onnx_file.parent.iterdir()) == ["model.onnx", "parity.json"]


def test_a_person_gets_the_differences_and_the_next_command(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.onnx").write_text("of the last export")
    options = ("--out", "net.onnx", "--overwrite", "--license", "CC0-1.0", "--max-images", 9)

    result = fdmo("export", "onnx", run_folder, *options, cwd=tmp_path)

    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].strip() == "Largest differences of file and trained network, on val samples"
    headings = [cell.strip() for cell in lines[2].strip("┃").split("┃")]
    assert headings == ["output", "batch of 1", "batch of 3", "batch of 17", "9 images"]
    rows = [line.strip("│").split("│")[0].strip() for line in lines if line.startswith("│")]
    assert rows == [
        *("probabilities", "logits", "features", "landmarks", "visibility"),
        "classes that flip",
    ]
    assert any(
        line.startswith("Whole images were prepared as in training on one") for line in lines
    )
    assert lines[-2].startswith("Wrote net.onnx (0.")
    assert lines[-1] == "Next: fdmo evaluate net.onnx"
    metadata = describe_file(tmp_path / "net.onnx").metadata
    assert (metadata["license"], metadata["prior"]["images"]) == ("CC0-1.0", 9)


def test_a_file_that_is_there_is_left_alone(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.onnx").write_text("mine")

    result = fdmo("export", "onnx", run_folder, "--out", "net.onnx", cwd=tmp_path)

    assert result.returncode == 1
    assert result.stderr == (
        "Error: net.onnx is there already. Expected the name of a file that is not. Choose another "
        "one with --out, or replace the file with --overwrite.\n"
    )
    assert (tmp_path / "net.onnx").read_text() == "mine"


def test_weights_beside_the_file_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    found = Comparison(1, 0, {"probabilities": 1e-7}, open_landmarks=2)
    images = ImageParity(20, 1, 0.01, 0.001, 0.012, 2)
    prior = SourcePrior(torch.full((2,), 0.5), 0.0, 0)
    external = {"file": "test_export.py.data", "bytes": 3 * 2**30, "sha256": "ab"}

    print_export(
        Export(
            Path(__file__), Parity("val", [found], images), PrecisionReport("fp32"), prior, external
        )
    )

    lines = capsys.readouterr().out.splitlines()
    assert (
        "Whole images were prepared as in training on one side, by the file on the other: 1.20% of "
        "the network's pixel values differ, by at most 2 of 255; the mean difference of a "
        "probability is 1.0e-03."
    ) in lines
    assert (
        "2 landmark(s) were left out of the comparison: two cells of their heatmap are as good."
        in lines
    )
    assert (
        "The weights do not fit into one ONNX file. They are in test_export.py.data (3072.0 MiB); "
        "keep both files in one folder."
    ) in lines


def test_an_unknown_precision_is_an_error(fdmo: Command, run_folder: Path) -> None:
    result = fdmo("export", "onnx", run_folder, "--precision", "fp8")

    assert result.returncode == 2
    assert "'fp8' is not one of 'fp32', 'fp16', 'int8'" in result.stderr


def test_a_folder_that_is_no_run_is_an_error(fdmo: Command, tmp_path: Path) -> None:
    result = fdmo("export", "onnx", tmp_path)

    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: {tmp_path} is not a finished run: ")
    assert not list(tmp_path.iterdir())


def test_a_file_in_place_of_the_folder_is_left_alone(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")

    result = fdmo("export", "onnx", run_folder, "--out", "file/model.onnx", cwd=tmp_path)

    assert result.returncode == 1
    assert result.stderr.startswith("Error: Cannot write file/model.onnx: ")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_is_no_name_for_the_file(fdmo: Command, run_folder: Path, tmp_path: Path) -> None:
    result = fdmo("export", "onnx", run_folder, "--out", tmp_path)

    assert result.stderr == (
        f"Error: {tmp_path} is a folder. Expected the name of the file to write. Pass for instance "
        f"--out {tmp_path}/model.onnx.\n"
    )
    assert not list(tmp_path.iterdir())


def test_a_lender_of_phase_1_has_no_meaning_for_a_classifier(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    result = fdmo("export", "onnx", run_folder, "--phase1-from", tmp_path)

    assert result.returncode == 1
    assert result.stderr == (
        f"Error: --phase1-from is {tmp_path}. Expected it with --part generator only; a classifier "
        f"is whole in its run folder. Leave it out.\n"
    )


def test_a_missing_onnxruntime_is_found_before_anything_else_and_names_the_extras(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", WITHOUT_RUNTIME, "export", "onnx", str(tmp_path)]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert result.stderr == (
        "Error: onnxruntime is not installed (No module named 'onnxruntime'). Expected one of "
        'fdmo\'s extras. Install "fdmo[gpu]" on a machine with an NVIDIA GPU (it runs on the CPU '
        'as well) or "fdmo[cpu]" elsewhere, never both.\n'
    )
