"""``fdmo diagnose`` in processes of its own."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


def diagnosed(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_run_s_figures_are_those_before_phase_2_on_validation(
    fdmo: Command, run_folder: Path
) -> None:
    found = diagnosed(fdmo("diagnose", run_folder, "--json"))

    before = json.loads((run_folder / "metrics.json").read_text())["val"]["before"]
    assert found["phase1"]["acsa"] == pytest.approx(before["acsa"])
    assert found["phase1"]["geometric_mean"] == pytest.approx(before["geometric_mean"])
    for name, one in before["classes"].items():
        assert found["classes"][name]["recall"]["val"] == pytest.approx(one["recall"])
        assert found["classes"][name]["train"] == one["train"]
    assert found["imbalance_ratio"] == 4
    assert [one["name"] for one in found["remedies"]] == [
        "prior correction",
        "balanced fine-tuning",
        "oversampling",
    ]
    assert found["seconds"] < 120
    assert found["run"] == str(run_folder)


def test_a_run_folder_stays_as_it_is(fdmo: Command, run_folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run_folder.rglob("*")}

    fdmo("diagnose", run_folder, "--json")

    assert {path: path.stat().st_mtime_ns for path in run_folder.rglob("*")} == before


def test_the_text_recommends_with_evidence_and_cautions(fdmo: Command, run_folder: Path) -> None:
    advice = diagnosed(fdmo("diagnose", run_folder, "--json"))["recommendation"]

    result = fdmo("diagnose", run_folder)

    lines = [line.strip() for line in result.stdout.splitlines()]
    assert {"Recommendation", "Evidence", "Caution", advice["verdict"]} <= set(lines)
    assert {*advice["evidence"], *advice["cautions"]} <= set(lines)
    assert "You have only 2 in class 'striped tee'" in advice["cautions"][0]
    assert lines[-1].startswith("Took ")


def test_of_data_phase_1_is_trained_once_and_kept(
    fdmo: Command, small: tuple[str, ...], make_images: Callable[..., Path], tmp_path: Path
) -> None:
    images = make_images(red=30, green=12, blue=8)
    folder = tmp_path / "kept"

    first = diagnosed(
        fdmo("diagnose", "--data", images, *small, "--seed", 0, "--out", folder, "--json")
    )
    again = diagnosed(fdmo("diagnose", folder, "--json"))

    assert list(first["classes"]) == ["blue", "green", "red"]
    assert first["recommendation"] == again["recommendation"]
    for name, one in first["classes"].items():
        margin = again["classes"][name]["margin"]["val"]
        assert one["margin"]["val"] == pytest.approx(margin, rel=1e-5)  # other memory, other sums
    assert not (folder / "checkpoints" / "phase2.safetensors").exists()


def test_a_file_of_features_is_diagnosed_like_data(fdmo: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), [60, 20, 10])
    features = rng.normal(size=(90, 6)) + 2 * np.eye(6)[labels]
    np.savez(tmp_path / "embeddings.npz", features=features.astype("f4"), labels=labels)
    fast = ("--set", "phase1.epochs=2", "--set", "rebalancer.epochs=1")

    result = fdmo(
        *("diagnose", tmp_path / "embeddings.npz", *fast, "--out", tmp_path / "run", "--json")
    )

    found = diagnosed(result)
    assert [one["train"] + one["val"] for one in found["classes"].values()] == [48, 16, 8]
    assert found["run"] == str(tmp_path / "run")


def test_options_without_a_meaning_are_refused(fdmo: Command, run_folder: Path) -> None:
    result = fdmo("diagnose", run_folder, "--seed", 0, "--data", "garments")

    assert result.returncode == 1
    assert result.stderr == (
        f"Error: {run_folder} is not a file, so it is taken for a run folder, where --data, "
        f"--seed has no meaning. Expected options that have. Leave it out, or 'fdmo diagnose "
        f"--data DATA' for data that no run was trained on.\n"
    )


def test_phase_1_of_another_run_is_for_run_folders(fdmo: Command, run_folder: Path) -> None:
    result = fdmo("diagnose", "--phase1-from", run_folder)

    assert result.returncode == 1
    assert "Phase 1 is trained here, where --phase1-from has no meaning." in result.stderr


def test_what_is_no_run_is_an_error(fdmo: Command, tmp_path: Path) -> None:
    result = fdmo("diagnose", tmp_path / "nowhere")

    assert result.returncode == 1
    assert "nowhere is no run folder: it has no config.toml." in result.stderr
    assert "Traceback" not in result.stderr
