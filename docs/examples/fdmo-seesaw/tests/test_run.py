"""A small run with both: trained, exported and evaluated by the commands that a user has."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = """
[data]
largest_class = 12
imbalance_ratio = 3
val_per_class = 2
test_per_class = 2
image_size = 32

[texture_stream]
channels = [4, 8]

[shape_stream]
channels = [4, 8]

[phase1]
shape_epochs = 0
epochs = 1

[rebalancer]
epochs = 1
samples_per_class = 6
"""


def fdmo(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fdmo_cli", *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained run."""
    folder = tmp_path_factory.mktemp("seesaw")
    (folder / "small.toml").write_text(SMALL)
    plugins = ["--plugin", "seesaw", "--plugin", "loras", "--set", "generator.neighbors=3"]
    fdmo("train", "--config", "small.toml", *plugins, "--out", "run", folder=folder)
    return folder


def test_the_exported_file_scores_as_the_trained_network(folder: Path) -> None:
    fdmo("export", "onnx", "run", folder=folder)
    answer = fdmo("evaluate", "run/export/model.onnx", "--split", "test", "--json", folder=folder)

    trained = json.loads((folder / "run" / "metrics.json").read_text())
    assert json.loads(answer)["test"]["top1"] == pytest.approx(trained["test"]["after"]["top1"])


def test_the_generator_is_exported_for_other_trainers(folder: Path) -> None:
    fdmo("export", "onnx", "run", "--part", "generator", "--out", "generator", folder=folder)

    assert {"generator.onnx", "dictionary.npz"} <= {
        path.name for path in (folder / "generator").iterdir()
    }
