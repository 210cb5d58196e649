"""What an exported file says of itself, so that nobody must know the run."""

import hashlib
import json
from importlib.metadata import version
from typing import Any

import onnx

from fdmo_core.run_folder import TrainedRun
from fdmo_export.contract import METADATA_FORMAT, WHOLE_IMAGE
from fdmo_export.operation import SourcePrior, certain_above
from fdmo_export.precision import PrecisionReport
from fdmo_export.validation import Scored


def add_entry(model: onnx.ModelProto, key: str, content: Any) -> None:
    """Add a JSON document to the metadata of a model."""
    entry = model.metadata_props.add()
    entry.key, entry.value = key, json.dumps(content, ensure_ascii=False)


def describe_model(
    trained: TrainedRun,
    scored: Scored,
    prior: SourcePrior,
    precision: PrecisionReport,
    *,
    preprocessing: bool,
    license: str,
) -> dict[str, Any]:
    """Return what the file says of itself, as plain data.

    Args:
        trained: The run.
        scored: Validation images; thresholds are measured on them.
        prior: What the scores stand for.
        precision: Of the file.
        preprocessing: Whether the file takes whole images.
        license: The terms of use; "" for nothing.
    """
    config = trained.run.as_dict()
    text = json.dumps(config, sort_keys=True, ensure_ascii=False)
    return {
        "format": METADATA_FORMAT,
        "fdmo": version("fdmo"),
        "class_names": list(trained.class_names),
        "class_counts": trained.class_counts.tolist(),
        "landmark_names": list(trained.landmark_names),
        "preprocessing": _describe_input(trained, preprocessing=preprocessing),
        "prior": prior.as_dict(),
        "thresholds": certain_above(scored, len(trained.class_names)),
        "precision": precision.as_dict(),
        "license": license,
        "data_digest": trained.data_digest,
        "config_digest": hashlib.sha256(text.encode()).hexdigest(),
        "config": config,
    }


def _describe_input(trained: TrainedRun, *, preprocessing: bool) -> dict[str, Any]:
    if trained.feature_dim:
        return {"feature_dim": trained.feature_dim, "range": "float32, as they were computed"}
    return {
        "in_graph": preprocessing,
        "image_size": trained.image_size,
        "channels": "RGB",
        "crop": "to the box, where there is one",
        "resize": "bilinear with antialiasing, ratio kept, centred on black",
        "range": "uint8, 0 to 255",
        "whole_image": list(WHOLE_IMAGE),
    }
