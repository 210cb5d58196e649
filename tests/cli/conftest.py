"""The fdmo command in processes of its own, and one tiny run that all tests of it share."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Command = Callable[..., subprocess.CompletedProcess[str]]

TINY = (
    *("data.largest_class=12", "data.imbalance_ratio=4"),
    *("data.val_per_class=2", "data.test_per_class=4"),
)
SMALL = (
    *("data.image_size=24", "texture_stream.channels=[4, 8]", "shape_stream.channels=[4, 8]"),
    *("phase1.shape_epochs=1", "phase1.epochs=1", "phase1.batch_size=16", "model.feature_ratio=16"),
    *("rebalancer.epochs=1", "rebalancer.samples_per_class=4", "metrics.bootstrap_samples=100"),
    *("generator.hidden=[16, 16]", "generator.discriminator_hidden=[16, 16]"),
)


@pytest.fixture(scope="session")
def fdmo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """A function that runs ``fdmo`` with arguments; relative paths are below ``cwd``."""
    folder = tmp_path_factory.mktemp("fdmo")
    out, err = folder / "out", folder / "err"
    server = subprocess.Popen(
        [sys.executable, "-P", Path(__file__).with_name("command_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "400"},
    )

    def run(*arguments: object, cwd: Path = folder) -> subprocess.CompletedProcess[str]:
        assert server.stdin is not None
        assert server.stdout is not None
        argv = [str(argument) for argument in arguments]
        job = {"argv": argv, "cwd": str(cwd), "out": str(out), "err": str(err)}
        print(json.dumps(job), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(argv, code, out.read_text(), err.read_text())

    yield run
    server.communicate()


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Options that make networks and phases tiny, whatever the data."""
    return tuple(part for setting in SMALL for part in ("--set", setting))


@pytest.fixture(scope="session")
def trained(
    fdmo: Command, small: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    """``fdmo train --json`` of garments; a test that changes its run folder copies it."""
    folder = tmp_path_factory.mktemp("runs") / "garments"
    data = [part for setting in TINY for part in ("--set", setting)]
    result = fdmo("train", "--out", folder, "--seed", 3, *small, *data, "--json")
    assert result.returncode == 0, result.stderr
    return result


@pytest.fixture(scope="session")
def run_folder(trained: subprocess.CompletedProcess[str]) -> Path:
    """The run folder of :func:`trained`."""
    return Path(json.loads(trained.stdout)["run"])


@pytest.fixture(scope="session")
def exported(
    fdmo: Command, run_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    """``fdmo export onnx --json`` of that run, into a folder of its own."""
    path = tmp_path_factory.mktemp("exported") / "new" / "model.onnx"
    result = fdmo("export", "onnx", run_folder, "--out", path, "--json")
    assert result.returncode == 0, result.stderr
    return result


@pytest.fixture(scope="session")
def onnx_file(exported: subprocess.CompletedProcess[str]) -> Path:
    """The file of :func:`exported`."""
    return Path(json.loads(exported.stdout)["file"])


@pytest.fixture
def make_images(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes so many tiny JPEGs of each class and returns their folder."""

    def make(**counts: int) -> Path:
        rng = np.random.default_rng(0)
        for label, (name, count) in enumerate(counts.items()):
            of_class = tmp_path / "images" / name
            of_class.mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 60, (20, 24, 3), dtype=np.uint8)
                pixels[..., label % 3] += 150
                Image.fromarray(pixels).save(of_class / f"{index}.jpg")
        return tmp_path / "images"

    return make
