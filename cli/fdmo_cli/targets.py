"""What ``fdmo evaluate`` evaluates: a run folder or an exported file, seen in the same way."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fdmo_core.evaluation import Predict, model_predictor
from fdmo_core.registry import Registry
from fdmo_core.run_folder import load_run
from fdmo_export.contract import OUTPUT_LOGITS
from fdmo_export.runtime import OnnxClassifier


@dataclass(frozen=True)
class Target:
    """Something that maps images or features to logits, with what evaluation needs to know of it.

    Attributes:
        predict: From images or features to the logits of the classifier after phase 2, which is
            deployed.
        class_names: In label order.
        class_counts: Training images per class. Shape ``(C,)``, int64.
        image_size: Side of the square network input, in pixels.
        feature_dim: F of a target for features; 0 of one for images.
        data_digest: Digest of the training run's data.
        config: The training run's configuration.
    """

    predict: Predict
    class_names: tuple[str, ...]
    class_counts: NDArray[np.int64]
    image_size: int
    feature_dim: int
    data_digest: str
    config: Mapping[str, Any]


def open_run(folder: Path, registry: Registry, device: torch.device) -> Target:
    """Return a run folder as a target."""
    trained = load_run(folder, registry)
    model = trained.model.to(device)
    return Target(
        model_predictor(model, device),
        trained.class_names,
        trained.class_counts,
        trained.image_size,
        trained.feature_dim,
        trained.data_digest,
        trained.run.as_dict(),
    )


def open_onnx(path: Path) -> Target:
    """Return an exported file as a target; it runs in onnxruntime on the CPU."""
    classifier = OnnxClassifier(path, provider="cpu")

    def predict(inputs: Tensor) -> Tensor:
        if classifier.takes_whole_images:  # a square of the right size passes as it is
            inputs = inputs.permute(0, 2, 3, 1).contiguous()
        return torch.from_numpy(classifier.run(inputs.numpy())[OUTPUT_LOGITS])

    metadata = classifier.metadata
    return Target(
        predict,
        classifier.class_names,
        np.array(metadata["class_counts"], dtype=np.int64),
        classifier.image_size,
        classifier.feature_dim,
        metadata["data_digest"],
        metadata["config"],
    )
