"""``fdmo train`` in processes of its own."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

Command = Callable[..., subprocess.CompletedProcess[str]]

FILES = {
    *("config.toml", "environment.json", "data.json", "log.jsonl", "metrics.json"),
    "health.json",
    *("manifest.json", ".lock"),
    *("model.json", "model.safetensors"),
    *(f"dictionary/{name}" for name in ("features.safetensors", "manifest.json", "sources.json")),
    *(f"checkpoints/{phase}.safetensors" for phase in ("phase1", "phase2")),
}


def test_the_run_folder_holds_every_file_and_no_temporary_one(run_folder: Path) -> None:
    found = {str(path.relative_to(run_folder)) for path in run_folder.rglob("*") if path.is_file()}

    assert found == FILES


def test_json_is_alone_on_stdout_and_holds_the_metrics_of_the_folder(
    trained: subprocess.CompletedProcess[str], run_folder: Path
) -> None:
    printed = json.loads(trained.stdout)

    assert printed.keys() == {"run", "metrics"}
    assert printed["metrics"] == json.loads((run_folder / "metrics.json").read_text())


def test_metrics_are_given_by_split_and_before_and_after_phase_2(run_folder: Path) -> None:
    metrics = json.loads((run_folder / "metrics.json").read_text())

    assert {name: sorted(split) for name, split in metrics.items()} == {
        name: ["after", "before"] for name in ("val", "test")
    }
    assert {"top1", "acsa", "geometric_mean", "few"} <= metrics["test"]["after"].keys()


def test_with_json_only_notices_reach_stderr(trained: subprocess.CompletedProcess[str]) -> None:
    *others, health = trained.stderr.splitlines()

    assert health.startswith("Artificial features: ")
    assert others == [
        "2 of 12 classes hold fewer than samples_per_class = 4 features; they give all they have, "
        "the smallest 3."
    ]


def test_the_command_is_recorded_as_it_was_typed(run_folder: Path) -> None:
    command = json.loads((run_folder / "environment.json").read_text())["command"]

    assert command.startswith(f"fdmo train --out {run_folder} --seed 3 --set ")
    assert "'texture_stream.channels=[4, 8]'" in command


def test_the_written_configuration_repeats_the_run(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    result = fdmo("train", "--config", run_folder / "config.toml", "--out", tmp_path / "again")

    assert result.returncode == 0, result.stderr
    for file in ("config.toml", "metrics.json", "data.json", "model.safetensors"):
        assert (tmp_path / "again" / file).read_bytes() == (run_folder / file).read_bytes()


def test_a_run_may_take_phase_1_from_another_one(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    config = ("--config", run_folder / "config.toml")

    result = fdmo("train", *config, "--phase1-from", run_folder, "--out", tmp_path / "again")

    assert result.returncode == 0, result.stderr
    assert "phase1" not in result.stderr
    for file in ("metrics.json", "model.safetensors", "checkpoints/phase2.safetensors"):
        assert (tmp_path / "again" / file).read_bytes() == (run_folder / file).read_bytes()
    assert not (tmp_path / "again" / "checkpoints" / "phase1.safetensors").exists()


def test_phase_1_of_other_settings_is_refused(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    config = ("--config", run_folder / "config.toml", "--set", "phase1.epochs=2")

    result = fdmo("train", *config, "--phase1-from", run_folder, "--out", tmp_path / "again")

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f"Error: Phase 1 of {run_folder} was configured otherwise in: phase1. Expected equal "
        f"settings. Use the settings of {run_folder / 'config.toml'}, or train phase 1 anew."
    )


def test_a_person_gets_bars_a_table_of_before_and_after_and_the_next_command(
    fdmo: Command, small: tuple[str, ...], make_images: Callable[..., Path], tmp_path: Path
) -> None:
    result = fdmo("train", "--data", make_images(red=14, blue=7), *small, cwd=tmp_path)

    shown = [line.split("━")[0].strip() for line in result.stderr.splitlines() if "━" in line]
    assert shown == ["images", "phase1", "dictionary", "phase2", "evaluate val", "evaluate test"]
    assert "Test split, 4 images" in result.stdout
    assert "before phase 2" in result.stdout
    assert "after phase 2" in result.stdout
    assert result.stdout.endswith(
        "Run folder: runs/folder-1\nNext: fdmo export onnx runs/folder-1\n"
    )


def test_data_without_landmarks_or_without_test_images_is_told_once(
    fdmo: Command, small: tuple[str, ...], make_images: Callable[..., Path], tmp_path: Path
) -> None:
    images = make_images(red=14, blue=1)

    result = fdmo("train", "--data", images, *small, "--out", tmp_path / "run", "--json")

    assert result.stderr.splitlines()[:3] == [
        "Split 'val' has no image of: blue; its metrics leave them out.",
        "Split 'test' has no image of: blue; its metrics leave them out.",
        "The data set has no landmarks, so no landmark head is built.",
    ]
    assert json.loads(result.stdout)["metrics"]["test"]["after"]["absent_classes"] == ["blue"]


def test_an_unreadable_image_is_skipped_and_listed(
    fdmo: Command, small: tuple[str, ...], make_images: Callable[..., Path], tmp_path: Path
) -> None:
    images = make_images(red=14, blue=7)
    (images / "blue" / "note.jpg").write_text("no picture")
    allow = ("--set", "data.max_unreadable_share=0.05")

    result = fdmo("train", "--data", images, *small, *allow, "--out", tmp_path / "run", "--json")

    skipped = json.loads((tmp_path / "run" / "data.json").read_text())["skipped"]
    assert skipped["blue/note.jpg"].startswith("The image is no image of a known kind.")
    assert "1 file(s) or folder(s) were skipped; data.json says why." in result.stderr


def test_too_many_unreadable_images_stop_the_run_before_it_begins(
    fdmo: Command, make_images: Callable[..., Path], tmp_path: Path
) -> None:
    images = make_images(red=14, blue=7)
    (images / "blue" / "note.jpg").write_text("no picture")

    result = fdmo("train", "--data", images, "--out", tmp_path / "run")

    assert result.stderr.startswith(
        "Error: 1 of 22 images cannot be read. Expected at most a share of 0.01. Repair or delete "
        "them, or raise data.max_unreadable_share. The first of them:\nblue/note.jpg: "
    )
    assert refused(result, tmp_path / "run")


def refused(result: subprocess.CompletedProcess[str], folder: Path) -> bool:
    """Whether the command failed with a message and nothing else, and left no folder behind."""
    silent = result.stdout == "" and "Traceback" not in result.stderr
    return silent and result.returncode == 1 and not folder.exists()


def test_one_class_only_is_refused(
    fdmo: Command, make_images: Callable[..., Path], tmp_path: Path
) -> None:
    result = fdmo("train", "--data", make_images(red=14), "--out", tmp_path / "run")

    assert result.stderr.startswith(
        "Error: The training images have 1 class(es): red. Expected at least 2 class folders"
    )
    assert refused(result, tmp_path / "run")


def test_classes_of_one_size_are_refused(
    fdmo: Command, make_images: Callable[..., Path], tmp_path: Path
) -> None:
    result = fdmo("train", "--data", make_images(red=10, blue=10), "--out", tmp_path / "run")

    assert result.stderr.startswith(
        "Error: All 2 classes have 7 training images. Expected at least one class with fewer"
    )
    assert refused(result, tmp_path / "run")


def test_an_empty_folder_is_refused(fdmo: Command, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()

    result = fdmo("train", "--data", tmp_path / "images", "--out", tmp_path / "run")

    assert "has 0 class folder(s) and no image in them." in result.stderr
    assert refused(result, tmp_path / "run")


def test_all_wrong_settings_are_listed_a_line_each(fdmo: Command, tmp_path: Path) -> None:
    wrong = ("phase1.epoch=3", "data.largest_clas=9", "loss.max_margin=x", "extra=1", "seed=-1")

    result = fdmo("train", "--out", tmp_path / "run", *(f"--set={setting}" for setting in wrong))

    first, *lines = result.stderr.splitlines()
    assert first == "Error: The configuration is invalid:"
    assert sorted(line.split(":")[0].strip() for line in lines) == [
        *("data.largest_clas", "extra", "loss.max_margin", "phase1.epoch", "seed")
    ]
    assert any("(got 3); did you mean 'epochs'?" in line for line in lines)
    assert refused(result, tmp_path / "run")


def test_a_run_folder_that_exists_is_left_as_it_is(fdmo: Command, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")

    result = fdmo("train", "--out", tmp_path)

    assert result.returncode == 1
    assert result.stderr == (
        f"Error: {tmp_path} exists already. Expected a folder that is not there yet. Go on "
        f"with that run by --resume, choose another folder with --out, or remove it.\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_a_run_folder_that_cannot_be_made_is_refused(fdmo: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in place of the parent folder")

    result = fdmo("train", "--out", tmp_path / "file" / "run")

    assert result.returncode == 1
    assert result.stderr == (
        f"Error: Cannot make {tmp_path}/file/run: Not a directory. Expected a place to write to. "
        f"Choose another one with --out.\n"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device_is_refused(fdmo: Command, tmp_path: Path) -> None:
    result = fdmo("train", "--device", "cuda", "--out", tmp_path / "run")

    assert result.stderr.startswith("Error: PyTorch finds no CUDA device. Expected one for")
    assert refused(result, tmp_path / "run")
