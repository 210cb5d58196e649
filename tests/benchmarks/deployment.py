"""The exported file: onnxruntime against PyTorch, one prefix against two, preprocessing or none.

VGG16 streams at 224 pixels with random weights and the heads of a run on DeepFashion, as in
prefix.py; two threads on both sides. A limit is the ratio of counted operations.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from measure import Benchmark, seconds_in_turn
from numpy.typing import NDArray
from prefix import BATCH, CLASSES, LANDMARKS, SIDE, configuration, networks, operations

from fdmo_core.model_building import build_model
from fdmo_core.network import Network
from fdmo_export.graph import DeployedClassifier
from fdmo_export.tracing import trace

THREADS = 2
ROUNDS = 5
WIDTH, HEIGHT = 640, 480

Answer = Callable[[NDArray[np.uint8]], object]


def noise(*shape: int) -> NDArray[np.uint8]:
    """Return images of noise."""
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def deployed_form(model: Network, *, preprocessing: bool = False) -> DeployedClassifier:
    """Return the module that is traced; it takes letterboxed images or whole ones."""
    return DeployedClassifier(
        model,
        image_size=SIDE,
        num_landmarks=LANDMARKS,
        source_prior=torch.full((CLASSES,), 1 / CLASSES),
        preprocessing=preprocessing,
    ).eval()


def by_onnxruntime(deployed: DeployedClassifier) -> Answer:
    """Return a function that answers by a session of the exported network."""
    example = noise(2, SIDE, SIDE, 3) if deployed.preprocessing else noise(2, 3, SIDE, SIDE)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3  # not its warnings that an input has a default
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        onnx.save_model(trace(deployed, torch.from_numpy(example)), path)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {deployed.input_names[0]: images})


def by_torch(deployed: DeployedClassifier) -> Answer:
    """Return a function that answers by PyTorch, for letterboxed images."""
    tau = torch.tensor(1.0)

    @torch.inference_mode()
    def answer(images: NDArray[np.uint8]) -> object:
        return deployed(torch.from_numpy(images), deployed.source_prior, tau)

    return answer


def lines() -> list[Benchmark]:
    """Return all lines, of one image at a time; ``-batch`` of eight."""
    run = configuration()
    shared, _ = networks(run)
    # other weights in each stream: of equal ones onnxruntime merges what is computed twice
    plain = build_model(run, num_classes=CLASSES, num_landmarks=LANDMARKS)
    eager, naive = deployed_form(shared), deployed_form(plain)
    of_torch, of_naive = by_torch(eager), by_onnxruntime(naive)
    of_file = by_onnxruntime(eager)
    of_whole = by_onnxruntime(deployed_form(shared, preprocessing=True))
    one, whole = noise(1, 3, SIDE, SIDE), noise(1, HEIGHT, WIDTH, 3)
    limit = operations(lambda: by_torch(naive)(one)) / operations(lambda: of_torch(one))

    def line(
        name: str, ours: Callable[[], object], baseline: Callable[[], object], limit: float | None
    ) -> Benchmark:
        return Benchmark(name, *seconds_in_turn(ours, baseline, rounds=ROUNDS), "s", limit)

    found = []
    for end, images in (("", one), ("-batch", noise(BATCH, 3, SIDE, SIDE))):
        file = partial(of_file, images)
        found.append(line(f"onnx-eager{end}", file, partial(of_torch, images), None))
        found.append(line(f"onnx-shared{end}", file, partial(of_naive, images), limit))
    found.append(line("preprocessing", partial(of_whole, whole), partial(of_file, one), 1.0))
    return found


def benchmarks() -> list[Benchmark]:
    """Return the lines, measured with two threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        return lines()
    finally:
        torch.set_num_threads(threads)
