"""Write a trained run as an ONNX file, and prove the file before it gets its name."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import torch

from fdmo_core.data import some_samples
from fdmo_core.errors import ExportError
from fdmo_core.files import cannot_write, replacing, write_json
from fdmo_core.preprocessing import prepare
from fdmo_core.run_folder import TrainedRun
from fdmo_core.samples import Splits
from fdmo_export.contract import (
    GOLDEN_KEY,
    MAX_FILE_BYTES,
    METADATA_FORMAT,
    METADATA_KEY,
    WHOLE_IMAGE,
)
from fdmo_export.gate import GateLimits
from fdmo_export.golden import NUM_GOLDEN
from fdmo_export.golden_making import make_golden
from fdmo_export.graph import DeployedClassifier
from fdmo_export.operation import SourcePrior, certain_above, measure_prior
from fdmo_export.precision import FP32, Precision, PrecisionReport, at_precision
from fdmo_export.seal import sealed_bytes
from fdmo_export.trace import trace
from fdmo_export.validation import Scored, score_validation
from fdmo_export.verify import Parity, compare, require_agreement


@dataclass(frozen=True)
class ExportOptions:
    """What a person may choose of a file.

    Attributes:
        preprocessing: Whether the file takes whole images with a box, or letterboxed ones.
        precision: Of weights and sums.
        max_images: Validation images that prior, thresholds and gate are measured on.
        license: What the metadata say of the terms of use; "" for nothing.
        limits: How much a lower precision may cost.
    """

    preprocessing: bool = True
    precision: Precision = FP32
    max_images: int = 1000
    license: str = ""
    limits: GateLimits = field(default_factory=GateLimits)


@dataclass(frozen=True)
class Export:
    """What was written, and what it was found to be.

    Attributes:
        path: The file.
        parity: How it compares with the trained network.
        precision: How its precision compares with fp32 on the validation split.
        prior: What its scores stand for.
    """

    path: Path
    parity: Parity
    precision: PrecisionReport
    prior: SourcePrior

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data, as ``parity.json`` holds it."""
        return {
            "file": self.path.name,
            "parity": self.parity.as_dict(),
            "precision": self.precision.as_dict(),
            "prior": self.prior.as_dict(),
        }


def export_run(
    trained: TrainedRun, splits: Splits, path: Path, options: ExportOptions | None = None
) -> Export:
    """Write the run's deployed network to ``path``, with ``parity.json`` beside it.

    The file is checked and compared with the network under a temporary name; it appears only when
    both agree and, at a lower precision, its figures on the validation split hold.

    Args:
        trained: The run; it stays as it is.
        splits: Its data, in its class order.
        path: The file to write; its folder is made.
        options: Precision and form; default: whole images, fp32.

    Raises:
        ExportError: The network cannot be traced or does not fit into one file, or the file
            disagrees with it.
        RunFolderError: The file cannot be written.
    """
    options = options or ExportOptions()
    make_room(path)
    trained.model.cpu().eval()
    scored = score_validation(trained, splits, max_images=options.max_images)
    prior = measure_prior(scored, trained.class_counts)
    deployed = deploy(trained, prior, preprocessing=options.preprocessing)
    require_size(deployed)
    samples, split = some_samples(splits)
    letterboxed = torch.stack([prepare(one, trained.image_size).image for one in samples])
    exact = trace(
        deployed, letterboxed.permute(0, 2, 3, 1) if deployed.preprocessing else letterboxed
    )
    model, precision = at_precision(
        exact, options.precision, trained, splits, scored, options.limits
    )
    add_metadata(model, describe_model(trained, scored, prior, options, precision))
    golden = make_golden(deployed, samples[:: max(1, len(samples) // NUM_GOLDEN)][:NUM_GOLDEN])
    add_entry(model, GOLDEN_KEY, json.dumps([one.as_dict() for one in golden]))
    with replacing(path) as temporary:
        temporary.write_bytes(sealed_bytes(model))
        parity = compare(deployed, temporary, samples, split=split)
        require_agreement(parity, exact=options.precision == FP32)
    report = Export(path, parity, precision, prior)
    write_json(path.with_name("parity.json"), report.as_dict())
    return report


def deploy(trained: TrainedRun, prior: SourcePrior, *, preprocessing: bool) -> DeployedClassifier:
    """Return the module that is traced."""
    return DeployedClassifier(
        trained.model,
        image_size=0 if trained.feature_dim else trained.image_size,
        num_landmarks=len(trained.landmark_names),
        source_prior=prior.probabilities,
        preprocessing=preprocessing,
    ).eval()


def make_room(path: Path) -> None:
    """Make the folder of a file that will be written.

    Raises:
        ExportError: There is a folder of the file's name.
        RunFolderError: The folder cannot be made.
    """
    if path.is_dir():
        raise ExportError(
            f"{path} is a folder. Expected the name of the file to write. Pass for instance --out "
            f"{path / 'model.onnx'}."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def require_size(deployed: DeployedClassifier) -> None:
    """Raise an ExportError if the weights do not fit into one file."""
    tensors = deployed.state_dict().values()
    needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if needed >= MAX_FILE_BYTES:
        raise ExportError(
            f"The network has {needed / 2**30:.2f} GiB of weights. Expected less than 2 GiB, the "
            f"most that one ONNX file can hold. Choose smaller extractors or a smaller "
            f"model.feature_ratio."
        )


def add_entry(model: onnx.ModelProto, key: str, text: str) -> None:
    """Add an entry to the file's metadata."""
    entry = model.metadata_props.add()
    entry.key, entry.value = key, text


def add_metadata(model: onnx.ModelProto, metadata: Mapping[str, Any]) -> None:
    """Add what the file says of itself."""
    add_entry(model, METADATA_KEY, json.dumps(metadata, ensure_ascii=False))


def describe_model(
    trained: TrainedRun,
    scored: Scored,
    prior: SourcePrior,
    options: ExportOptions,
    precision: PrecisionReport,
) -> dict[str, Any]:
    """Return what the file says of itself, as plain data."""
    config = trained.run.as_dict()
    text = json.dumps(config, sort_keys=True, ensure_ascii=False)
    return {
        "format": METADATA_FORMAT,
        "fdmo": version("fdmo"),
        "class_names": list(trained.class_names),
        "class_counts": trained.class_counts.tolist(),
        "landmark_names": list(trained.landmark_names),
        "preprocessing": _describe_input(trained, preprocessing=options.preprocessing),
        "prior": prior.as_dict(),
        "thresholds": certain_above(scored, len(trained.class_names)),
        "precision": precision.as_dict(),
        "license": options.license,
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
