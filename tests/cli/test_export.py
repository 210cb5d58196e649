"""``fdmo export onnx`` in processes of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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

    assert printed.keys() == {"file", "split", "comparisons"}
    assert printed["split"] == "val"
    assert [one["batch_size"] for one in printed["comparisons"]] == [1, 3, 17]
    assert all(one["agrees"] and one["label_flips"] == 0 for one in printed["comparisons"])
    assert exported.stderr == ""


def test_the_comparisons_are_written_beside_the_file_and_nothing_else(
    exported: subprocess.CompletedProcess[str], onnx_file: Path
) -> None:
    parity = json.loads((onnx_file.parent / "parity.json").read_text())

    printed = json.loads(exported.stdout)
    assert parity == {name: printed[name] for name in ("split", "comparisons")}
    assert sorted(path.name for path in onnx_file.parent.iterdir()) == ["model.onnx", "parity.json"]


def test_a_person_gets_the_differences_and_the_next_command(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    result = fdmo("export", "onnx", run_folder, "--out", "net.onnx", cwd=tmp_path)

    lines = result.stdout.splitlines()
    assert lines[0].startswith("Batch of  1 val samples: 0 classes flip; largest difference: prob")
    assert lines[2].startswith("Batch of 17 val samples: ")
    assert lines[3:] == ["Wrote net.onnx (0.1 MiB)", "Next: fdmo evaluate net.onnx"]


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
