"""``fdmo evaluate`` in processes of its own: the same figures from run folder and file."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fdmo_core.manifest import add_to_manifest

Command = Callable[..., subprocess.CompletedProcess[str]]


def figures(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def after_phase2(run_folder: Path) -> dict[str, Any]:
    metrics = json.loads((run_folder / "metrics.json").read_text())
    return {split: metrics[split]["after"] for split in ("val", "test")}


def test_a_run_folder_gives_the_figures_of_its_metrics(fdmo: Command, run_folder: Path) -> None:
    result = fdmo("evaluate", run_folder, "--json")

    assert figures(result) == after_phase2(run_folder)
    assert result.stderr == ""


def test_an_exported_file_gives_the_same_figures(
    fdmo: Command, run_folder: Path, onnx_file: Path
) -> None:
    result = fdmo("evaluate", onnx_file, "--json")

    assert figures(result) == after_phase2(run_folder)
    assert result.stderr == ""


def test_a_file_is_a_file_whatever_it_is_called(
    fdmo: Command, run_folder: Path, onnx_file: Path, tmp_path: Path
) -> None:
    shutil.copy(onnx_file, tmp_path / "model")

    result = fdmo("evaluate", tmp_path / "model", "--json", "--split", "val")

    assert figures(result) == {"val": after_phase2(run_folder)["val"]}


def test_a_folder_is_a_run_whatever_it_is_called(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "[b]run[/i].onnx"  # neither a file nor markup
    shutil.copytree(run_folder, folder)

    result = fdmo("evaluate", folder, "--split", "test")

    assert result.returncode == 0
    assert "[b]run[/i].onnx" in result.stdout.replace("\n", "")


def test_the_table_holds_the_figures_of_each_split(fdmo: Command, run_folder: Path) -> None:
    result = fdmo("evaluate", run_folder)

    expected = [f"{split['acsa']:.4f}" for split in after_phase2(run_folder).values()]
    line = next(line for line in result.stdout.splitlines() if "ACSA" in line)
    assert [cell.split()[0] for cell in line.split("│")[2:4]] == expected


def test_the_training_split_is_evaluated_only_when_asked_for(
    fdmo: Command, run_folder: Path
) -> None:
    found = figures(fdmo("evaluate", run_folder, "--json", "--split", "train"))

    assert list(found) == ["train"]
    assert found["train"]["classes"]["striped tee"]["train"] == 12
    assert found["train"]["classes"]["striped tee"]["test"] == 12


def test_settings_of_the_metrics_count(fdmo: Command, run_folder: Path) -> None:
    found = figures(fdmo("evaluate", run_folder, "--json", "--set", "metrics.top_k=2"))

    assert "top2" in found["test"]
    assert found["test"]["top1"] == after_phase2(run_folder)["test"]["top1"]


def test_settings_of_training_are_refused(fdmo: Command, run_folder: Path) -> None:
    result = fdmo("evaluate", run_folder, "--set", "phase1.epochs=3")

    assert result.returncode == 1
    assert result.stderr == (
        "Error: '--set phase1.epochs=3' would change a run that is trained already. Expected a "
        "setting of: data, loading, metrics (not data.image_size). Leave it out, or train again "
        "with it.\n"
    )


def test_other_data_is_evaluated_and_said_to_be_other(fdmo: Command, run_folder: Path) -> None:
    result = fdmo("evaluate", run_folder, "--json", "--set", "data.test_per_class=3")

    assert figures(result)["test"]["samples"] == 36
    assert result.stderr == (
        "This is not the data of the training run; the figures are of its own.\n"
    )


def test_classes_that_the_model_does_not_know_are_an_error(
    fdmo: Command, run_folder: Path, make_images: Callable[..., Path]
) -> None:
    result = fdmo("evaluate", run_folder, "--data", make_images(red=10, blue=5))

    assert result.returncode == 1
    assert result.stderr.startswith(
        "Error: The model does not know the classes: blue, red. Expected some of: striped tee, "
    )


def test_data_may_lack_classes_and_order_them_otherwise(
    fdmo: Command, small: tuple[str, ...], make_images: Callable[..., Path], tmp_path: Path
) -> None:
    images = make_images(c=14, b=10, a=7)
    fdmo("train", "--data", images, *small, "--out", tmp_path / "run", "--json")
    shutil.rmtree(images / "a")

    result = fdmo("evaluate", tmp_path / "run", "--json", "--split", "test")

    assert list(figures(result)["test"]["classes"]) == ["b", "c"]
    assert figures(result)["test"]["absent_classes"] == ["a"]


def test_a_split_without_images_is_said_to_have_no_figures(
    fdmo: Command, run_folder: Path, make_images: Callable[..., Path]
) -> None:
    named = json.loads((run_folder / "data.json").read_text())["class_names"]
    images = make_images(**{named[0]: 3, named[1]: 2})
    empty = ("--set", "data.val_share=0", "--set", "data.test_share=0")

    result = fdmo("evaluate", run_folder, "--data", images, *empty, "--json", "--split", "val")

    assert figures(result) == {"val": None}
    assert "Split 'val' has no image, so there are no figures of it." in result.stderr


@pytest.mark.parametrize("name", ["missing", "missing.onnx", "."])
def test_a_target_that_is_no_run_is_an_error(fdmo: Command, tmp_path: Path, name: str) -> None:
    result = fdmo("evaluate", name, cwd=tmp_path)

    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: {name} is not ")
    assert "fdmo train" in result.stderr or "fdmo export onnx" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_run_of_another_format_is_refused(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    head = json.loads((tmp_path / "run" / "model.json").read_text())
    (tmp_path / "run" / "model.json").write_text(json.dumps(head | {"format": 99}))
    add_to_manifest(tmp_path / "run", ["model.json"])

    result = fdmo("evaluate", "run", cwd=tmp_path)

    assert result.returncode == 1
    assert result.stderr == (
        "Error: The model in run has format 99. Expected 1. Use the version of fdmo that wrote it "
        "(environment.json of the run names it), or train again.\n"
    )


def test_truncated_weights_are_refused(fdmo: Command, run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    weights = tmp_path / "run" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])

    result = fdmo("evaluate", tmp_path / "run")

    assert result.returncode == 1
    assert f"{weights} is not what the run wrote: it has 1000 bytes instead of " in result.stderr


def test_weights_that_are_none_are_refused(fdmo: Command, run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").write_bytes(b"\x00" * 1000)
    add_to_manifest(tmp_path / "run", ["model.safetensors"])

    result = fdmo("evaluate", tmp_path / "run")

    assert result.returncode == 1
    assert "run is not a finished run: Error while deserializing header" in result.stderr


def test_an_unknown_split_is_named_with_the_known_ones(fdmo: Command, run_folder: Path) -> None:
    result = fdmo("evaluate", run_folder, "--split", "tset")

    assert result.returncode == 1
    assert result.stderr == (
        "Error: Unknown split 'tset'. Expected one of: train, val, test. Correct --split.\n"
    )


def test_an_unknown_device_is_an_error_for_a_file_too(fdmo: Command, onnx_file: Path) -> None:
    result = fdmo("evaluate", onnx_file, "--device", "gpu")

    assert result.returncode == 1
    assert result.stderr == (
        "Error: Unknown device 'gpu'. Expected one of: auto, cpu, cuda. Leave --device out for "
        "auto.\n"
    )
