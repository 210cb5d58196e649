"""What the tests of the example applications share: exported files, right answers, processes."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from fdmo_core.config import Run
from fdmo_core.registry import Registry
from fdmo_core.run_folder import TrainedRun, load_run
from fdmo_core.samples import Splits
from fdmo_export.write import ExportOptions, export_run

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

Process = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def trained(
    tiny_run: Callable[..., Run],
    tiny_splits: Splits,
    train_into: Callable[..., dict[str, Any]],
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainedRun:
    """The tiny run, which has landmarks."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train_into(folder, tiny_run(), tiny_splits)
    return load_run(folder, registry)


@pytest.fixture(scope="session")
def onnx_file(
    trained: TrainedRun, tiny_splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Its exported file; no test changes it."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export_run(trained, tiny_splits, path)
    return path


@pytest.fixture(scope="session")
def letterboxed_file(
    trained: TrainedRun, tiny_splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Its exported file for images that are letterboxed already."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export_run(trained, tiny_splits, path, ExportOptions(preprocessing=False))
    return path


@pytest.fixture(scope="session")
def right_answers(onnx_file: Path) -> Callable[..., dict[str, NDArray[np.float32]]]:
    """A function that gives the file pictures one by one, and returns the outputs by name."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(onnx_file), options, providers=["CPUExecutionProvider"]
    )
    names = [one.name for one in session.get_outputs()]

    def answer(pixels: list[NDArray[np.uint8]], **dials: object) -> dict[str, NDArray[np.float32]]:
        feed = {name: np.array(value, dtype=np.float32) for name, value in dials.items()}
        rows = [session.run(names, {"image": one[np.newaxis], **feed}) for one in pixels]
        return dict(zip(names, map(np.concatenate, zip(*rows, strict=True)), strict=True))

    return answer


@pytest.fixture(scope="session")
def numpy_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder from which nothing but onnxruntime and numpy can be imported."""
    site: Path = tmp_path_factory.mktemp("site")
    for module in (np, onnxruntime):
        package = Path(str(module.__file__)).parent
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                (site / folder.name).symlink_to(folder)
    return site


@pytest.fixture(scope="session")
def run_python(numpy_only: Path) -> Process:
    """A function that runs Python with the words that it is given, without other packages."""

    def run(*words: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-S", "-B", *map(str, words)],
            cwd=numpy_only,
            env={"PYTHONPATH": str(numpy_only)},
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the Node application, installed as its README says."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    folder: Path = tmp_path_factory.mktemp("node") / "app"
    shutil.copytree(EXAMPLES / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.fixture(scope="session")
def run_node(node_folder: Path) -> Process:
    """A function that runs Node with the words that it is given, in the application's folder."""

    def run(*words: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["node", *map(str, words)], cwd=node_folder, capture_output=True, text=True
        )

    return run
