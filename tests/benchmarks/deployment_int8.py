"""The int8 file against the fp32 file, both by onnxruntime: two VGG16 streams at 224 pixels.

Random weights and images, batch 1, as many threads as onnxruntime takes; a batch of 8 is printed
beside it. No limit: how many times an integer instruction beats a float one depends on the
processor (AVX2 about twice, VNNI about four times).
"""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import torch
from measure import Benchmark, seconds_in_turn
from numpy.typing import NDArray
from prefix import CLASSES, SIDE, configuration

from fdmo_core.model_building import build_model
from fdmo_core.randomness import rng_for
from fdmo_export.graph import DeployedClassifier
from fdmo_export.network_part import cut, put_back, with_outputs
from fdmo_export.quantization import measure_ranges, quantize
from fdmo_export.sessions import open_session
from fdmo_export.tracing import trace

BATCHES = (1, 8)
ROUNDS = 7


def benchmarks() -> list[Benchmark]:
    """Return the line of batch 1, and print that of batch 8 and the sizes."""
    exact, int8 = models()
    print(f"onnx-int8: {int8.ByteSize() / exact.ByteSize():.3f} of the fp32 file's size")
    ours, baseline = open_session(int8), open_session(exact)
    lines = [_line(ours, baseline, batch) for batch in BATCHES]
    for line in lines[1:]:
        print(f"{line.name}, batch {BATCHES[1]}: ratio {line.ratio:.2f}")
    return lines[:1]


def models() -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return the whole graph at fp32 and at int8, without a landmark head."""
    network = build_model(configuration(), num_classes=CLASSES, num_landmarks=0)
    network.shape_extractor.load_state_dict(network.texture_extractor.state_dict())
    network.share_prefix()
    prior = torch.full((CLASSES,), 1 / CLASSES)
    deployed = DeployedClassifier(network, image_size=SIDE, num_landmarks=0, source_prior=prior)
    images = _images(2)
    exact = trace(deployed.eval(), torch.from_numpy(images))
    part = cut(exact)
    names = [one.name for one in part.model.graph.input]
    inside = open_session(with_outputs(exact, names)).run(names, {"image": images})
    ranges = measure_ranges(part, [dict(zip(names, inside, strict=True))])
    return exact, put_back(exact, quantize(part, ranges, set()))


def _line(
    ours: onnxruntime.InferenceSession, baseline: onnxruntime.InferenceSession, batch: int
) -> Benchmark:
    images = _images(batch)

    def run(one: onnxruntime.InferenceSession) -> Callable[[], object]:
        return lambda: one.run(["probabilities"], {"image": images})

    return Benchmark(
        "onnx-int8", *seconds_in_turn(run(ours), run(baseline), rounds=ROUNDS), "s", None
    )


def _images(number: int) -> NDArray[np.uint8]:
    shape = (number, SIDE, SIDE, 3)
    return torch.randint(256, shape, generator=rng_for(0, "images")).to(torch.uint8).numpy()
