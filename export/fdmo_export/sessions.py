"""Runs a model that is not yet a file over images of a split."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fdmo_core.preprocessing import prepare_all
from fdmo_core.samples import Split
from fdmo_export.contract import INPUT_IMAGE, OUTPUT_LOGITS
from fdmo_export.runtime import import_onnxruntime

Feed = Mapping[str, NDArray[Any]]

BATCH = 10  # images at a time: all activations of a large network are in memory at once


@dataclass(frozen=True)
class Letterboxed:
    """Samples of a split as the first input of a file takes them, letterboxed as in training.

    Attributes:
        split: Where they come from.
        rows: Which of them. Shape ``(N,)``, int64.
        image_size: S, side of the square in pixels.
    """

    split: Split
    rows: NDArray[np.int64]
    image_size: int

    def feeds(self, name: str) -> Iterator[Feed]:
        """Yield batches.

        Args:
            name: Of the input, as the contract has it.
        """
        for part in np.split(self.rows, range(BATCH, len(self.rows), BATCH)):
            samples = (self.split[int(row)] for row in part)
            inputs = prepare_all(samples, self.image_size)
            if name == INPUT_IMAGE:
                inputs = inputs.permute(0, 2, 3, 1)
            yield {name: inputs.numpy()}


def open_session(model: onnx.ModelProto) -> Any:
    """Return onnxruntime's session of a model, on the CPU."""
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # not its warnings that an input has a default
    return runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def answers(model: onnx.ModelProto, names: Sequence[str], images: Letterboxed) -> Iterator[Feed]:
    """Yield outputs of a model by name, a batch at a time; nothing else is computed."""
    session = open_session(model)
    only_these = import_onnxruntime().RunOptions()
    only_these.only_execute_path_to_fetches = True
    for feed in images.feeds(model.graph.input[0].name):
        yield dict(zip(names, session.run(list(names), feed, only_these), strict=True))


def logits_of(model: onnx.ModelProto, images: Letterboxed) -> NDArray[np.float32]:
    """Return the logits of all images. Shape ``(N, C)``."""
    found = answers(model, [OUTPUT_LOGITS], images)
    return np.concatenate([one[OUTPUT_LOGITS] for one in found])
