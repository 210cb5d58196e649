"""The exported file: onnxruntime against PyTorch, one prefix against two, preprocessing or none.

VGG16 streams at 224 pixels with random weights and the heads of a run on DeepFashion, as in
prefix.py; two threads for both sides. A limit is the ratio of counted operations.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from measure import Benchmark, seconds_in_turn
from numpy.typing import NDArray
from prefix import BATCH, CLASSES, LANDMARKS, SIDE, configuration, networks, operations

from fdmo_core.network import Network
from fdmo_export.graph import DeployedClassifier
from fdmo_export.trace import trace

THREADS = 2
ROUNDS = 5
WIDTH, HEIGHT = 640, 480

Answer = Callable[[NDArray[np.uint8]], object]


def deployed_form(model: Network, *, preprocessing: bool) -> DeployedClassifier:
    """Return the module that is traced."""
    return DeployedClassifier(
        model,
        image_size=SIDE,
        num_landmarks=LANDMARKS,
        source_prior=torch.full((CLASSES,), 1 / CLASSES),
        preprocessing=preprocessing,
    ).eval()


def by_onnxruntime(deployed: DeployedClassifier, folder: Path) -> Answer:
    """Return a function that answers by a session of the exported network."""
    inputs = noise(2, SIDE, SIDE, 3) if deployed.preprocessing else noise(2, 3, SIDE, SIDE)
    path = folder / "model.onnx"
    onnx.save_model(trace(deployed, torch.from_numpy(inputs)), path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3  # not its warnings that an input has a default
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = deployed.input_names[0]
    return lambda images: session.run(None, {name: images})


def by_torch(deployed: DeployedClassifier) -> Answer:
    """Return a function that answers by PyTorch, of letterboxed images."""
    tau = torch.tensor(1.0)

    @torch.inference_mode()
    def answer(images: NDArray[np.uint8]) -> object:
        return deployed(torch.from_numpy(images), deployed.source_prior, tau)

    return answer


def noise(*shape: int) -> NDArray[np.uint8]:
    """Return images of noise."""
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def line(
    name: str,
    ours: Callable[[], object],
    baseline: Callable[[], object],
    limit: float | None = None,
) -> Benchmark:
    """Return the measured line."""
    return Benchmark(name, *seconds_in_turn(ours, baseline, rounds=ROUNDS), "s", limit)


def benchmarks() -> list[Benchmark]:
    """Return the lines, one image at a time, and of ``onnx-eager`` and ``onnx-shared`` a batch."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        with tempfile.TemporaryDirectory() as name:
            return list(_lines(Path(name)))
    finally:
        torch.set_num_threads(threads)
