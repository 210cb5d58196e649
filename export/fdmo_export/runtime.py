"""Run an exported file with onnxruntime; no torch is imported."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdmo_core.errors import ExportError, MissingRuntimeError
from fdmo_export.contract import (
    INPUT_FEATURES,
    INPUT_IMAGES,
    METADATA_ENTRIES,
    METADATA_FORMAT,
    METADATA_KEY,
    OUTPUTS,
    OUTPUTS_OF_FEATURES,
)


def import_onnxruntime() -> ModuleType:
    """Return the onnxruntime module.

    Raises:
        MissingRuntimeError: Neither of the two packages that supply it is installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingRuntimeError(
            f"onnxruntime is not installed ({error}). Expected one of fdmo's extras. Install "
            f'"fdmo[gpu]" on a machine with an NVIDIA GPU (it runs on the CPU as well) or '
            f'"fdmo[cpu]" elsewhere, never both.'
        ) from error
    module: ModuleType = onnxruntime
    return module


class OnnxClassifier:
    """An exported classifier.

    Args:
        path: The ONNX file.

    Raises:
        ExportError: The file is missing, is no ONNX file, or was not written by fdmo.
        MissingRuntimeError: onnxruntime is not installed.
    """

    def __init__(self, path: Path) -> None:
        runtime = import_onnxruntime()
        if not path.is_file():
            raise ExportError(
                f"{path} is not there. Expected an ONNX file. Write one with 'fdmo export onnx "
                f"RUN'."
            )
        try:
            self._session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises many types of its own
            raise ExportError(
                f"{path} cannot be loaded: {error}. Expected an ONNX file that 'fdmo export onnx' "
                f"wrote. Export the run again."
            ) from error
        inputs = [one.name for one in self._session.get_inputs()]
        self._input = INPUT_FEATURES if INPUT_FEATURES in inputs else INPUT_IMAGES
        self._outputs = OUTPUTS_OF_FEATURES if self._input == INPUT_FEATURES else OUTPUTS
        self.metadata = self._read_metadata(path)

    def _read_metadata(self, path: Path) -> dict[str, Any]:
        text = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "{}")
        try:
            metadata: Any = json.loads(text)
        except (ValueError, RecursionError):
            metadata = None
        found = metadata.get("format") if isinstance(metadata, dict) else text[:40]
        if found != METADATA_FORMAT:
            raise ExportError(
                f"{path} has fdmo metadata of format {found!r}. Expected {METADATA_FORMAT}. Use a "
                f"file that this version of 'fdmo export onnx' wrote."
            )
        outputs = [one.name for one in self._session.get_outputs()]
        missing = [one for one in METADATA_ENTRIES if one not in metadata]
        missing += [one for one in self._outputs if one not in outputs]
        if missing:
            raise ExportError(
                f"{path} was changed after its export: it lacks {', '.join(missing)}. Expected "
                f"what 'fdmo export onnx' writes. Export the run again."
            )
        return dict(metadata)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in label order."""
        return tuple(self.metadata["class_names"])

    @property
    def image_size(self) -> int:
        """Side of the square input, in pixels; 0 of a classifier of features."""
        return int(self.metadata["preprocessing"].get("image_size", 0))

    @property
    def feature_dim(self) -> int:
        """F, length of the input; 0 of a classifier of images."""
        return int(self.metadata["preprocessing"].get("feature_dim", 0))

    def run(self, inputs: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs by name.

        Args:
            inputs: Images: RGB, cropped and letterboxed, shape ``(B, 3, S, S)``, uint8. Or
                features, shape ``(B, F)``, float32.

        Raises:
            ExportError: They have another shape or type.
        """
        if self._input == INPUT_FEATURES:
            self._require_features(inputs)
        else:
            self._require_images(inputs)
        values = self._session.run(list(self._outputs), {self._input: inputs})
        return dict(zip(self._outputs, values, strict=True))

    def _require_features(self, features: NDArray[Any]) -> None:
        if features.dtype != np.float32 or features.shape[1:] != (self.feature_dim,):
            raise ExportError(
                f"Features have shape {features.shape} and type {features.dtype}. Expected (B, "
                f"{self.feature_dim}) of float32. Compute them as those that the classifier was "
                f"trained on."
            )

    def _require_images(self, images: NDArray[Any]) -> None:
        expected = (3, self.image_size, self.image_size)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != expected:
            raise ExportError(
                f"Images have shape {images.shape} and type {images.dtype}. Expected (B, 3, "
                f"{self.image_size}, {self.image_size}) of uint8, RGB. Letterbox them first; "
                f"docs/onnx.md says how."
            )
