"""``fdmo features`` and files of features, in processes of their own."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
SETTINGS = (
    *("--config", "features", "--set", "phase1.batch_size=32"),
    *("--set", "rebalancer.epochs=1", "--set", "rebalancer.samples_per_class=4"),
    *("--set", "generator.hidden=[16, 16]", "--set", "generator.discriminator_hidden=[16, 16]"),
    *("--set", "metrics.bootstrap_samples=100"),
)


def ok(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "f.npz"
    rng = np.random.default_rng(0)
    names = np.repeat(["auk", "ibis", "tern"], [60, 20, 10])
    centres = np.repeat(4 * rng.normal(size=(3, 6)), [60, 20, 10], axis=0)
    np.savez(file, X=(centres + rng.normal(size=(90, 6))) * 50, y=names)
    return file


@pytest.fixture(scope="module")
def head(fdmo: Command, npz: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ``fdmo train --json`` says of a run on the file."""
    out = tmp_path_factory.mktemp("runs") / "head"
    found: dict[str, Any] = json.loads(
        ok(fdmo("train", "--data", npz, "--out", out, *SETTINGS, "--json"))
    )
    return found


def test_a_file_of_features_is_trained_on(head: dict[str, Any]) -> None:
    assert head["metrics"]["test"]["before"]["acsa"] > 0.8
    notices = [
        line["notice"]
        for line in map(json.loads, (Path(head["run"]) / "log.jsonl").read_text().splitlines())
        if "notice" in line
    ]
    assert notices[0].startswith("The data are features: phase 1 trains the main classifier alone.")
    assert not any("landmark head is built" in one for one in notices)


def test_the_configuration_shows_the_file(fdmo: Command, npz: Path) -> None:
    shown = ok(fdmo("config", "show", "--data", npz))

    assert '\nname = "features"\n' in shown
    assert f'file = "{npz}"' in shown


def test_run_folder_and_exported_file_give_the_same_figures(
    fdmo: Command, head: dict[str, Any]
) -> None:
    exported = ok(fdmo("export", "onnx", head["run"]))
    of_run = json.loads(ok(fdmo("evaluate", head["run"], "--json")))
    of_file = json.loads(ok(fdmo("evaluate", f"{head['run']}/export/model.onnx", "--json")))

    assert "classes that flip" in exported
    assert of_run == of_file
    assert of_run["test"] == head["metrics"]["test"]["after"]


def test_images_are_no_data_for_a_head(
    fdmo: Command, head: dict[str, Any], make_images: Callable[..., Path]
) -> None:
    result = fdmo("evaluate", head["run"], "--data", make_images(auk=8, ibis=8, tern=8))

    assert result.returncode == 1
    assert result.stderr == (
        "Error: The data hold images, and the network was trained on features of length 6. "
        "Expected the same. Give the data that it was trained on, or others of that kind with "
        "--data.\n"
    )


def test_features_of_a_run_are_written_and_trained_on(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "f.safetensors"

    written = ok(fdmo("features", "extract", run_folder, "--out", out))
    found = json.loads(
        ok(fdmo("train", "--data", out, "--out", tmp_path / "run", *SETTINGS, "--json"))
    )

    assert written.startswith("Wrote ")
    assert written.endswith(f" features to {out}\nNext: fdmo train --data {out}\n")
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    of_images = json.loads((run_folder / "data.json").read_text())
    assert data["class_names"] == of_images["class_names"]
    assert data["counts"] == of_images["counts"]
    assert found["metrics"]["test"]["after"]["samples"] == sum(of_images["counts"]["test"])
    sources = json.loads((tmp_path / "run" / "dictionary" / "sources.json").read_text())
    assert sources == json.loads((run_folder / "dictionary" / "sources.json").read_text())
    model = json.loads((tmp_path / "run" / "model.json").read_text())
    assert len(model["stream_dims"]) == 2


def test_features_of_an_extractor_need_no_training(
    fdmo: Command, make_images: Callable[..., Path], tmp_path: Path
) -> None:
    images, out = make_images(coat=8, bag=5), tmp_path / "f.safetensors"
    options = ("--data", images, "--set", "texture_stream.channels=[4, 8]")

    written = ok(fdmo("features", "extract", "--plugin", "small-vgg", *options, "--out", out))

    assert written.startswith(f"Wrote 13 rows of 8 features to {out}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--out", "f.npz"),
            "Error: --out is f.npz. Expected a file that ends in .safetensors. Rename it; 'fdmo "
            "train --data f.safetensors' then reads it.\n",
        ),
        (
            ("RUN", "--seed", "1", "--out", "f.safetensors"),
            "Error: The features are those of RUN, and --config, --plugin or --seed would describe "
            "others. Expected --data and --set alone. Leave RUN or the others out.\n",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(
    fdmo: Command, arguments: tuple[str, ...], message: str
) -> None:
    result = fdmo("features", "extract", *arguments)

    assert (result.returncode, result.stderr) == (1, message)


def test_images_are_checked_and_features_are_not(fdmo: Command, npz: Path) -> None:
    result = fdmo("data", "check", npz)

    assert result.returncode == 1
    assert "\nError: The data are features. Expected images, of which each" in result.stderr
