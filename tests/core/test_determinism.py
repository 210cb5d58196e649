"""Deterministic operations while a run goes on, and the run's bits whatever reads its images."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from fdmo_core.batches import Batch, Batches, LoadingConfig
from fdmo_core.compute import Compute, ComputeConfig
from fdmo_core.config import Run, resolve_run
from fdmo_core.data import open_data
from fdmo_core.determinism import deterministic_algorithms
from fdmo_core.journal import Journal
from fdmo_core.randomness import rng_for
from fdmo_core.registry import Registry
from fdmo_core.samples import Splits

Wanted = Literal["auto", "on", "off"]
UNABLE = "max_pool3d_backward does not have a deterministic implementation, but you set ..."


def compute(deterministic: Wanted, device: str = "cpu") -> Compute:
    return Compute(torch.device(device), ComputeConfig(deterministic=deterministic))


@pytest.mark.parametrize(
    ("wanted", "device", "expected"),
    [
        ("auto", "cpu", True),
        ("auto", "cuda", False),
        ("on", "cpu", True),
        ("on", "cuda", True),
        ("off", "cpu", False),
        ("off", "cuda", False),
    ],
)
def test_it_is_on_for_a_cpu_unless_told_otherwise(
    wanted: Wanted, device: str, expected: bool
) -> None:
    before = os.environ.get("CUBLAS_WORKSPACE_CONFIG")

    with deterministic_algorithms(compute(wanted, device), Journal()):
        assert torch.are_deterministic_algorithms_enabled() == expected
        assert torch.is_deterministic_algorithms_warn_only_enabled() == (
            expected and device == "cuda"
        )
        if device == "cuda":
            assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) == (expected or before is not None)

    assert not torch.are_deterministic_algorithms_enabled()
    assert os.environ.get("CUBLAS_WORKSPACE_CONFIG") == before


def test_what_was_set_before_is_set_again_even_after_an_error() -> None:
    torch.backends.cudnn.benchmark = True
    try:
        with pytest.raises(ZeroDivisionError), deterministic_algorithms(compute("on"), Journal()):
            _ = 1 // int(torch.backends.cudnn.benchmark)  # which is 0 in here
        assert torch.backends.cudnn.benchmark
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.backends.cudnn.benchmark = False


def test_an_operation_that_cannot_repeat_itself_is_told_once() -> None:
    told: list[str] = []

    with deterministic_algorithms(compute("on", "cuda"), Journal(say=told.append)):
        for _ in range(3):
            warnings.warn(UNABLE, UserWarning, stacklevel=1)

    assert told == [
        "max_pool3d_backward has no deterministic form on this device: the last digits of this run "
        "may be others when it is repeated."
    ]


def test_other_warnings_are_shown_as_ever() -> None:
    told: list[str] = []

    with (
        pytest.warns(UserWarning, match="something else"),
        deterministic_algorithms(compute("on"), Journal(say=told.append)),
    ):
        warnings.warn("something else", UserWarning, stacklevel=1)

    assert told == []


@pytest.fixture
def fdmo_process() -> Callable[..., None]:
    """A function that runs the command in a process of its own."""

    def run(*arguments: object) -> None:
        command = [sys.executable, "-m", "fdmo_cli", *map(str, arguments)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()

    return run


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two classes with a few images."""
    import numpy as np
    from PIL import Image

    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for split, size in (("train", 6), ("val", 2), ("test", 2)):
        for label, number in (("heron", size), ("ibis", size // 2)):
            place = folder / split / label
            place.mkdir(parents=True)
            for index in range(number):
                pixels = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{index}.png")
    return folder


SMALL = (
    *("data.image_size=24", "texture_stream.channels=[4, 8]", "shape_stream.channels=[4, 8]"),
    *("phase1.shape_epochs=0", "phase1.epochs=2", "phase1.batch_size=4", "model.feature_ratio=16"),
    *("rebalancer.epochs=1", "rebalancer.samples_per_class=2", "metrics.bootstrap_samples=100"),
    *("generator.hidden=[8, 8]", "generator.discriminator_hidden=[8, 8]", "cache.folder=''"),
    "loading.memory_mib=0",
)
FORK = "loading.start_method=fork"


def test_a_run_has_the_same_bits_with_and_without_workers(
    fdmo_process: Callable[..., None], pictures: Path, tmp_path: Path
) -> None:
    forms = {"alone": ["loading.workers=0"], "fork": ["loading.workers=2", FORK]}
    for name, settings in forms.items():
        options = [part for one in (*SMALL, *settings) for part in ("--set", one)]
        fdmo_process("train", "--data", pictures, "--out", tmp_path / name, *options, "--json")

    for file in ("model.safetensors", "metrics.json", "dictionary/features.safetensors"):
        assert (tmp_path / "fork" / file).read_bytes() == (tmp_path / "alone" / file).read_bytes()
    assert terms(tmp_path / "fork") == terms(tmp_path / "alone")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_give_the_images_in_the_order_that_was_asked_for(
    pictures: Path, registry: Registry, method: Literal["fork", "spawn"]
) -> None:
    run = resolve_run({"data": {"name": "folder", "root": str(pictures)}}, registry)
    split = open_data(run).train
    order = torch.randperm(len(split.labels), generator=rng_for(0, "order")).split(4)

    def read(config: LoadingConfig) -> list[Batch]:
        return list(Batches(split, image_size=24, config=config).read(order))

    alone = read(LoadingConfig(memory_mib=0))
    shared = read(LoadingConfig(memory_mib=0, workers=2, start_method=method))

    for one, other in zip(alone, shared, strict=True):
        assert all(map(torch.equal, one, other))


def terms(run: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [{key: one for key, one in line.items() if key != "time"} for line in lines]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_run_on_cuda_tells_what_cannot_repeat_itself(
    train_into: Callable[..., Any],
    tiny_run: Callable[..., Run],
    tiny_splits: Splits,
    tmp_path: Path,
) -> None:
    run = tiny_run(compute={"deterministic": "on"})
    told: list[str] = []
    with deterministic_algorithms(compute("on", "cuda"), Journal(say=told.append)):
        for name in ("one", "other"):
            train_into(tmp_path / name, run, tiny_splits, device="cuda")

    if not told:
        for file in ("model.safetensors", "metrics.json"):
            one, other = ((tmp_path / name / file).read_bytes() for name in ("one", "other"))
            assert one == other
