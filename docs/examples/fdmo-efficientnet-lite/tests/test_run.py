"""A small run: its frozen prefix is cached, and it is exported and evaluated."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fdmo_efficientnet_lite.extractor import EfficientNetLite, EfficientNetLiteConfig
from safetensors.torch import load_file

SMALL = """
[data]
largest_class = 12
imbalance_ratio = 3
val_per_class = 2
test_per_class = 2
image_size = 32

[texture_stream]
name = "efficientnet-lite"
blocks = 3

[shape_stream]
name = "efficientnet-lite"
blocks = 3

[cache]
views = 1
precision = "fp32"

[phase1]
shape_epochs = 0
epochs = 1

[rebalancer]
epochs = 1
samples_per_class = 6
"""

COMPUTED = "The frozen prefix is computed once per image"


def fdmo(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "fdmo_cli", *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained run and its cache."""
    folder = tmp_path_factory.mktemp("efficientnet")
    (folder / "small.toml").write_text(SMALL)
    said = fdmo("train", "--config", "small.toml", "--out", "run", folder=folder).stderr
    assert COMPUTED in " ".join(said.split())
    return folder


def test_the_frozen_prefix_of_both_streams_keeps_the_weights_of_the_package(folder: Path) -> None:
    wanted = EfficientNetLite(EfficientNetLiteConfig(blocks=3))
    wanted.load_initial_weights()

    trained = load_file(folder / "run" / "model.safetensors")

    for stream in ("texture_extractor", "shape_extractor"):
        for name, tensor in wanted.state_dict().items():
            assert torch.equal(trained[f"{stream}.{name}"], tensor), name


def test_a_second_run_takes_the_prefix_from_the_cache(folder: Path) -> None:
    caches = sorted((folder / "runs" / "prefix-cache").glob("*-*"))

    said = fdmo("train", "--config", "small.toml", "--out", "again", folder=folder).stderr

    assert [one.name.split("-")[0] for one in caches] == ["test", "train", "val"]
    assert COMPUTED not in " ".join(said.split())
    first, again = (
        json.loads((folder / name / "metrics.json").read_text()) for name in ("run", "again")
    )
    assert again == first


def test_the_exported_file_scores_as_the_trained_network(folder: Path) -> None:
    fdmo("export", "onnx", "run", folder=folder)
    arguments = ("evaluate", "run/export/model.onnx", "--split", "test", "--json")
    scored = json.loads(fdmo(*arguments, folder=folder).stdout)

    trained = json.loads((folder / "run" / "metrics.json").read_text())
    assert scored["test"]["top1"] == pytest.approx(trained["test"]["after"]["top1"])
