"""What tests share: the installed components, a run that trains in a second or two, processes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fdmo_core.compute import Compute
from fdmo_core.config import Run, resolve_run
from fdmo_core.data import open_data
from fdmo_core.engine import check_run, train
from fdmo_core.journal import Journal
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.network import Network
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.recorder import Recorder
from fdmo_core.registry import Registry
from fdmo_core.run_folder import create_run_folder
from fdmo_core.samples import NO_IMAGE, Sample, Split, Splits

TINY: dict[str, dict[str, Any]] = {
    "data": {
        "name": "garments",
        "largest_class": 12,
        "imbalance_ratio": 4,
        "val_per_class": 2,
        "test_per_class": 2,
        "image_size": 24,
    },
    "texture_stream": {"name": "small-vgg", "channels": [4, 8]},
    "shape_stream": {"name": "small-vgg", "channels": [4, 8]},
    "phase1": {"shape_epochs": 1, "epochs": 1, "batch_size": 32},
    "rebalancer": {
        "name": "adversarial",
        "epochs": 1,
        "batch_size": 32,
        "samples_per_class": 5,
    },
    "generator": {
        "name": "convexgan",
        "noise_dim": 8,
        "hidden": [16, 16],
        "discriminator_hidden": [16, 16],
    },
    "metrics": {"bootstrap_samples": 100},
}


@dataclass(frozen=True)
class KeptSplit:
    """A split that was read once."""

    samples: tuple[Sample, ...]
    sources: tuple[str, ...]

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.array([sample.label for sample in self.samples], dtype=np.int64)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def source(self, index: int) -> str:
        return self.sources[index]


def kept(split: Split) -> KeptSplit:
    rows = range(len(split.labels))
    return KeptSplit(tuple(split[row] for row in rows), tuple(split.source(row) for row in rows))


@pytest.fixture(scope="session")
def registry() -> Registry:
    """All components that are installed."""
    return Registry(load_plugins())


@pytest.fixture(scope="session")
def tiny_run(registry: Registry) -> Callable[..., Run]:
    """A function that returns the tiny run, with the options that its sections are given."""

    def make(seed: int = 0, **sections: dict[str, Any]) -> Run:
        content = {name: TINY.get(name, {}) | part for name, part in sections.items()}
        return resolve_run({"seed": seed} | TINY | content, registry)

    return make


@pytest.fixture(scope="session")
def tiny_splits(tiny_run: Callable[..., Run]) -> Splits:
    """The data of the tiny run: 12 classes of 12 to 3 images, drawn once for all tests."""
    splits = open_data(tiny_run())
    drawn = {name: kept(split) for name, split in splits.named().items()}
    return replace(splits, train=drawn["train"], val=drawn["val"], test=drawn["test"])


@pytest.fixture(scope="session")
def feature_splits() -> Splits:
    """Data that are features of two streams: three classes of 30, 12 and 6 training rows."""
    rng = np.random.default_rng(0)
    centres = 4 * rng.normal(size=(3, 8))

    def split(name: str, *counts: int) -> KeptSplit:
        labels = np.repeat([0, 1, 2], counts).tolist()
        vectors = [(centres[label] + rng.normal(size=8)).astype(np.float32) for label in labels]
        samples = [
            Sample(NO_IMAGE, label, features=vector)
            for label, vector in zip(labels, vectors, strict=True)
        ]
        return KeptSplit(tuple(samples), tuple(f"{name} {row}" for row in range(len(labels))))

    train, val, test = split("a", 30, 12, 6), split("b", 4, 4, 4), split("c", 5, 5, 5)
    return Splits(("auk", "ibis", "tern"), train, val, test, digest="fea7", stream_dims=(3, 5))


@pytest.fixture(scope="session")
def share() -> Callable[[TwoStreamClassifier], TwoStreamClassifier]:
    """A function that gives both streams of a model the same weights, and so a shared prefix."""

    def give(model: TwoStreamClassifier) -> TwoStreamClassifier:
        model.shape_extractor.load_state_dict(model.texture_extractor.state_dict())
        model.share_prefix()
        return model

    return give


@pytest.fixture(scope="session")
def train_into() -> Callable[..., dict[str, Any]]:
    """A function that trains a run into a new folder as ``fdmo train`` does, on one process."""

    def train_run(
        out: Path,
        run: Run,
        splits: Splits,
        *,
        model: Network | None = None,
        device: str = "cpu",
        phase1_from: Path | None = None,
    ) -> dict[str, Any]:
        compute = Compute(torch.device(device), run.core.compute)
        folder = create_run_folder(out, data="garments")
        recorder = Recorder(folder, run, splits, compute)
        recorder.begin("fdmo train")
        with Journal(folder / "log.jsonl") as journal:
            return train(
                run,
                splits,
                model or check_run(run, splits),
                recorder,
                compute=compute,
                journal=journal,
                phase1_from=phase1_from,
            )

    return train_run


@pytest.fixture(scope="session")
def finished_run(
    train_into: Callable[..., dict[str, Any]],
    tiny_run: Callable[..., Run],
    tiny_splits: Splits,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of the tiny run; a test that changes it takes :func:`copied_run`."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    train_into(folder, tiny_run(), tiny_splits)
    return folder


@pytest.fixture
def copied_run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of :func:`finished_run`, alone with what a test puts beside it."""
    return Path(shutil.copytree(finished_run, tmp_path / "runs" / "copied"))


@pytest.fixture(scope="session")
def in_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., list[Any]]]:
    """A function that calls a test module's function in several processes, as torchrun would.

    It returns what each gave, in order of rank; with ``outcomes=True`` each one's exit code and
    standard error instead. Processes are killed after ``seconds``, with exit code -9.
    """
    server = subprocess.Popen(
        [sys.executable, "-P", Path(__file__).with_name("process_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "400"},
    )

    def call(
        size: int,
        function: Callable[..., Any],
        *arguments: object,
        outcomes: bool = False,
        seconds: float = 60,
    ) -> list[Any]:
        assert server.stdin is not None
        assert server.stdout is not None
        folder = tmp_path_factory.mktemp("processes")
        job = {
            "size": size,
            "file": function.__code__.co_filename,
            "function": function.__name__,
            "arguments": [str(one) if isinstance(one, Path) else one for one in arguments],
            "folder": str(folder),
            "seconds": seconds,
        }
        print(json.dumps(job), file=server.stdin, flush=True)
        codes = json.loads(server.stdout.readline())
        errors = [(folder / f"{rank}.err").read_text() for rank in range(size)]
        if outcomes:
            return list(zip(codes, errors, strict=True))
        assert codes == [0] * size, "\n".join(errors)
        return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(size)]

    yield call
    server.communicate()


LOSS = Path(__file__).with_name("one_loss.txt").read_text()  # a plugin; {name} is its loss


@pytest.fixture(scope="session")
def loss_source() -> Callable[[str], str]:
    """A function that returns the code of a plugin with one loss of a name."""
    return lambda name: LOSS.format(name=name)


@pytest.fixture(scope="session")
def install_plugin() -> Callable[[Path, str, str], None]:
    """A function that writes a distribution as an installer does: ``fdmo-MODULE`` 1.2."""

    def install(site: Path, module: str, source: str) -> None:
        metadata = site / f"fdmo_{module}-1.2.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: fdmo-{module.replace('_', '-')}\nVersion: 1.2\n"
        )
        (metadata / "entry_points.txt").write_text(f"[fdmo]\n{module} = {module}\n")
        (site / f"{module}.py").write_text(source)

    return install


@pytest.fixture(scope="session")
def python_beside() -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs Python with a folder of distributions beside those installed."""

    def run(site: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env={**os.environ, "COLUMNS": "200", **variables, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )

    return run
