"""The fdmo command as a fixture, and one tiny run that the tests of several folders share."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

SERVER = Path(__file__).with_name("command_server.py")
TINY = (
    *("data.largest_class=12", "data.imbalance_ratio=4", "data.image_size=24"),
    *("data.val_per_class=2", "data.test_per_class=4"),
    *("texture_stream.channels=[4, 8]", "shape_stream.channels=[4, 8]", "model.feature_ratio=16"),
    *("phase1.shape_epochs=1", "phase1.epochs=1", "rebalancer.epochs=1"),
    *("rebalancer.samples_per_class=4", "metrics.bootstrap_samples=100"),
    *("generator.hidden=[16, 16]", "generator.discriminator_hidden=[16, 16]"),
)


class Command(Protocol):
    """Runs ``fdmo`` with arguments in a process of its own."""

    def __call__(self, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Return exit code, stdout and stderr."""
        ...


@pytest.fixture(scope="session")
def fdmo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    folder = tmp_path_factory.mktemp("fdmo")
    out, err = folder / "out", folder / "err"
    server = subprocess.Popen(
        [sys.executable, "-P", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "400"},
    )

    def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        assert server.stdin is not None
        assert server.stdout is not None
        argv = [str(argument) for argument in arguments]
        job = {"argv": argv, "cwd": str(cwd or folder), "out": str(out), "err": str(err)}
        print(json.dumps(job), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(argv, code, out.read_text(), err.read_text())

    yield run
    server.communicate()


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Options that make a run of garments take a second."""
    return tuple(part for setting in TINY for part in ("--set", setting))
