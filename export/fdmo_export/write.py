"""Write a trained run as an ONNX file, and prove the file before it gets its name."""

import json
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor

from fdmo_core.errors import ExportError
from fdmo_core.files import cannot_write, replacing, write_json
from fdmo_core.run_folder import TrainedRun
from fdmo_export.contract import (
    MAX_FILE_BYTES,
    METADATA_FORMAT,
    METADATA_KEY,
    OPSET,
)
from fdmo_export.graph import DeployedClassifier
from fdmo_export.verify import Comparison, compare, require_agreement


def export_run(trained: TrainedRun, inputs: Tensor, path: Path, *, split: str) -> list[Comparison]:
    """Write the run's deployed network to ``path``, with ``parity.json`` beside it.

    The file is checked and compared with the network under a temporary name; it appears only when
    both agree.

    Args:
        trained: The run; it stays as it is.
        inputs: Real images of the run, shape ``(R, 3, S, S)``, uint8; or features, shape
            ``(R, F)``, float32.
        path: The file to write; its folder is made.
        split: Where they come from.

    Returns:
        What was compared.

    Raises:
        ExportError: The network does not fit into one file or cannot be traced, or the file
            disagrees with it.
        RunFolderError: The file cannot be written.
    """
    deployed = DeployedClassifier(trained.model.cpu()).eval()
    require_size(deployed)
    make_room(path)
    with replacing(path) as temporary:
        model = _checked_trace(deployed, inputs)
        metadata = describe_model(trained)
        entry = model.metadata_props.add()
        entry.key, entry.value = METADATA_KEY, json.dumps(metadata, ensure_ascii=False)
        onnx.save_model(model, temporary)
        comparisons = compare(deployed, temporary, inputs)
        require_agreement(comparisons)
    parity = {"split": split, "comparisons": [one.as_dict() for one in comparisons]}
    write_json(path.with_name("parity.json"), parity)
    return comparisons


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


def _checked_trace(deployed: DeployedClassifier, inputs: Tensor) -> onnx.ModelProto:
    try:
        model = _trace(deployed, inputs)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the exporter's many types, raised by whatever an extractor does
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(
            f"The network cannot be written as ONNX: {type(error).__name__}: {reason} Expected "
            f"extractors without branches that depend on the values of images. Change the "
            f"extractor, or choose another one."
        ) from error
    return model


def _trace(deployed: DeployedClassifier, inputs: Tensor) -> onnx.ModelProto:
    example = inputs[torch.arange(2) % len(inputs)]  # two samples: a batch of one is baked in
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            deployed,
            (example,),
            input_names=[deployed.input_name],
            output_names=list(deployed.output_names),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model


def describe_model(trained: TrainedRun) -> dict[str, Any]:
    """Return what the file says of itself, as plain data."""
    return {
        "format": METADATA_FORMAT,
        "fdmo": version("fdmo"),
        "class_names": list(trained.class_names),
        "class_counts": trained.class_counts.tolist(),
        "preprocessing": _describe_input(trained),
        "data_digest": trained.data_digest,
        "config": trained.run.as_dict(),
    }


def _describe_input(trained: TrainedRun) -> dict[str, Any]:
    if trained.feature_dim:
        return {"feature_dim": trained.feature_dim, "range": "float32, as they were computed"}
    return {
        "image_size": trained.image_size,
        "channels": "RGB",
        "crop": "to the box, where there is one",
        "resize": "bilinear with antialiasing, ratio kept, centred on black",
        "range": "uint8, 0 to 255",
    }
