"""Write a trained run as an ONNX file, and prove the file before it gets its name."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
from torch import Tensor

from fdmo_core.data import some_samples
from fdmo_core.errors import ExportError
from fdmo_core.files import cannot_write, write_json
from fdmo_core.preprocessing import prepare_all
from fdmo_core.run_folder import TrainedRun
from fdmo_core.samples import Sample, Splits
from fdmo_export.contract import GOLDEN_KEY, METADATA_KEY
from fdmo_export.describe import add_entry, describe_model
from fdmo_export.gate import GateLimits
from fdmo_export.golden import NUM_GOLDEN, GoldenExample
from fdmo_export.golden_making import make_golden
from fdmo_export.graph import DeployedClassifier
from fdmo_export.operation import SourcePrior, measure_prior
from fdmo_export.parity import COMPARED_IMAGES, Parity, compare, require_agreement
from fdmo_export.precision import FP32, Precision, PrecisionReport, at_precision
from fdmo_export.seal import sealed_bytes
from fdmo_export.tracing import trace
from fdmo_export.validation import score
from fdmo_export.verify import require_answers, verify_file
from fdmo_export.weights import (
    MAX_WEIGHT_BYTES,
    move_weights,
    replacing_with_weights,
    weight_bytes,
    weights_path,
)


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
        external_data: Name, bytes and SHA-256 of the file beside it with the weights, or None.
    """

    path: Path
    parity: Parity
    precision: PrecisionReport
    prior: SourcePrior
    external_data: dict[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data, as ``parity.json`` holds it."""
        return {
            "file": self.path.name,
            "parity": self.parity.as_dict(),
            "precision": self.precision.as_dict(),
            "prior": self.prior.as_dict(),
            "external_data": self.external_data,
        }


def export_run(
    trained: TrainedRun,
    splits: Splits,
    path: Path,
    options: ExportOptions | None = None,
    *,
    overwrite: bool = False,
    max_weight_bytes: int = MAX_WEIGHT_BYTES,
) -> Export:
    """Write the run's deployed network to ``path``, with its parity beside it.

    The file is checked and compared with the network in a temporary folder; it appears only when
    both agree and, at a lower precision, its figures on the validation split hold.

    Args:
        trained: The run; it stays as it is.
        splits: Its data, in its class order.
        path: The file to write; its folder is made.
        options: Precision and form; default: whole images, fp32.
        overwrite: Whether a file that is there is replaced.
        max_weight_bytes: Of one file; weights that need more go into a file beside it.

    Raises:
        ExportError: There is a file already, the network cannot be traced, or the file disagrees
            with it.
        RunFolderError: The file cannot be written.
    """
    options = options or ExportOptions()
    make_room(path, overwrite=overwrite)
    trained.model.cpu().eval()
    scored = score(trained, splits.val, options.max_images)
    prior = measure_prior(scored, trained.class_counts)
    deployed = deploy(trained, prior, preprocessing=options.preprocessing)
    samples, split = some_samples(splits)
    exact = trace(deployed, _example(deployed, samples))
    model, precision = at_precision(
        exact, options.precision, trained, splits, scored, options.limits
    )
    metadata = describe_model(
        trained,
        scored,
        prior,
        precision,
        preprocessing=options.preprocessing,
        license=options.license,
    )
    golden = make_golden(deployed, samples[:: max(1, len(samples) // NUM_GOLDEN)][:NUM_GOLDEN])
    compared = scored if split == "val" else score(trained, splits.named()[split], COMPARED_IMAGES)
    with replacing_with_weights(path) as temporary:
        write_model(model, metadata, golden, temporary, max_weight_bytes=max_weight_bytes)
        parity = compare(deployed, temporary, samples, compared, split=split)
        require_agreement(parity, exact=options.precision == FP32)
        require_answers(verify_file(temporary, ["cpu"]))
    report = Export(path, parity, precision, prior, metadata.get("external_data"))
    write_json(parity_path(path), report.as_dict())
    return report


def write_model(
    model: onnx.ModelProto,
    metadata: dict[str, Any],
    golden: Sequence[GoldenExample],
    path: Path,
    *,
    max_weight_bytes: int,
) -> None:
    """Write the model with what it says of itself, sealed, and its weights beside it if they must.

    Args:
        model: It is changed.
        metadata: Of the file; it learns of weights beside it.
        golden: Examples that the file holds.
        path: The file to write.
        max_weight_bytes: Of one file.
    """
    if weight_bytes(model) > max_weight_bytes:
        metadata["external_data"] = move_weights(model, weights_path(path))
    add_entry(model, METADATA_KEY, metadata)
    add_entry(model, GOLDEN_KEY, [one.as_dict() for one in golden])
    path.write_bytes(sealed_bytes(model))


def _example(deployed: DeployedClassifier, samples: Sequence[Sample]) -> Tensor:
    """Return samples as the module takes them; images are letterboxed, to have one size."""
    inputs = prepare_all(samples, deployed.image_size)
    return inputs.permute(0, 2, 3, 1) if deployed.preprocessing else inputs


def deploy(trained: TrainedRun, prior: SourcePrior, *, preprocessing: bool) -> DeployedClassifier:
    """Return the module that is traced."""
    return DeployedClassifier(
        trained.model,
        image_size=0 if trained.feature_dim else trained.image_size,
        num_landmarks=len(trained.landmark_names),
        source_prior=prior.probabilities,
        preprocessing=preprocessing,
    ).eval()


def parity_path(path: Path) -> Path:
    """Return where a file's parity is written: ``parity.json`` beside ``model.onnx``.

    Beside a file of another name it bears that name too, so that variants can share a folder.
    """
    return path.with_name("parity.json" if path.stem == "model" else f"{path.stem}.parity.json")


def make_room(path: Path, *, overwrite: bool = False) -> None:
    """Make the folder of a file that will be written.

    Args:
        path: The file.
        overwrite: Whether it may be there.

    Raises:
        ExportError: There is a folder of the file's name, or a file that may not be replaced.
        RunFolderError: The folder cannot be made.
    """
    if path.is_dir():
        raise ExportError(
            f"{path} is a folder. Expected the name of the file to write. Pass for instance --out "
            f"{path / 'model.onnx'}."
        )
    taken = [one for one in (path, weights_path(path), parity_path(path)) if one.exists()]
    if taken and not overwrite:
        raise ExportError(
            f"{taken[0]} is there already. Expected the name of a file that is not. Choose another "
            f"one with --out, or replace the file with --overwrite."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
