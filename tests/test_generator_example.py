"""The example docs/examples/generator-numpy: training on exported features without fdmo."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.numpy import save_file

from fdmo_core.config import Run
from fdmo_core.journal import Journal
from fdmo_core.registry import Registry
from fdmo_core.samples import Splits
from fdmo_core.trained_phases import open_phase1
from fdmo_export.generator_part import export_generator

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "generator-numpy"
SCRIPT = EXAMPLE / "balance.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("balance", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def exported(
    tiny_run: Callable[..., Run],
    train_into: Callable[..., dict[str, Any]],
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_splits: Splits,
) -> Path:
    """A folder with the exported files of a run, and its validation features as test rows."""
    folder = tmp_path_factory.mktemp("example")
    train_into(folder / "run", tiny_run(), tiny_splits)
    export_generator(folder / "run", registry, folder / "export", journal=Journal())
    phase1 = open_phase1(folder / "run", registry, torch.device("cpu"), Journal())
    features, labels = phase1.validation_features(Journal())
    columns = {"features": features.numpy(), "labels": labels.numpy()}
    split = np.full(len(labels), 2, dtype=np.uint8)
    split[:3] = 0  # rows that the example must leave out
    save_file({**columns, "split": split}, folder / "features.safetensors")
    return folder


def test_it_needs_numpy_and_onnxruntime_alone() -> None:
    nodes = [
        node
        for node in ast.walk(ast.parse(SCRIPT.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name) or ""
        for node in nodes
    }

    third_party = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    assert third_party == {"numpy", "onnxruntime"}


def test_it_prints_a_line_for_each_of_three_classifiers(exported: Path) -> None:
    command = [sys.executable, str(SCRIPT), "export", "features.safetensors"]

    done = subprocess.run(
        command, cwd=exported, env=dict(os.environ), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows = [line.split() for line in done.stdout.splitlines()]
    with np.load(exported / "export" / "dictionary.npz") as dictionary:
        sizes = np.bincount(dictionary["labels"])
    full = str(sizes.max() * len(sizes))
    assert [row[:2] for row in rows] == [
        ["real", str(sizes.sum())],
        ["copies", full],
        ["artificial", full],
    ]
    assert all(0 <= float(row[-1]) <= 1 for row in rows)


def test_its_readme_shows_what_it_prints() -> None:
    text = (EXAMPLE / "README.md").read_text()
    (shown,) = (block for block in text.split("```") if block.startswith("text\n"))

    assert [line.split()[0] for line in shown.splitlines()[1:]] == ["real", "copies", "artificial"]


def test_what_it_makes_of_a_class_lies_among_the_rows_of_the_class(
    example: ModuleType, exported: Path
) -> None:
    generator = example.Generator(exported / "export" / "generator.onnx", seed=0)
    metadata = json.loads(
        {
            one.key: one.value
            for one in onnx.load(exported / "export" / "generator.onnx").metadata_props
        }["fdmo_generator"]
    )
    with np.load(exported / "export" / "dictionary.npz") as dictionary:
        features, labels = dictionary["features"], dictionary["labels"]
    smallest = int(np.argmin(metadata["dictionary_rows"]))
    real = features[labels == smallest]
    assert len(real) < metadata["samples_per_class"]  # so the example must pad

    made = generator.make(smallest, real, 70)

    assert made.shape == (70, features.shape[1])
    assert (made >= real.min(axis=0) - 1e-4).all()
    assert (made <= real.max(axis=0) + 1e-4).all()
    assert generator.make(smallest, real, 0).shape == (0, features.shape[1])


def test_its_classifier_learns_what_can_be_learned(example: ModuleType) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 30)
    centres = np.array([[0, 0], [5, 0], [0, 5]], dtype=np.float32)
    features = (centres[labels] + rng.standard_normal((90, 2))).astype(np.float32)

    model = example.fitted(features, labels, 3)

    assert example.recalls(model, features, labels).min() > 0.9
    first = features[:1]
    assert example.recalls(model, np.concatenate([first, first]), np.array([0, 2])).tolist() == [
        1.0,
        0.0,
    ]
