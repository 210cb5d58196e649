"""Run an exported file with onnxruntime; no torch is imported."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdmo_core.errors import ExportError, MissingRuntimeError
from fdmo_export.contract import (
    INPUT_BOX,
    INPUT_FEATURES,
    INPUT_IMAGE,
    METADATA_ENTRIES,
    METADATA_FORMAT,
    METADATA_KEY,
    output_names,
)
from fdmo_export.seal import require_seal


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
        require_seal(path.read_bytes(), str(path))
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # not its warnings that an input has a default
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises many types of its own
            raise ExportError(
                f"{path} cannot be loaded: {error}. Expected an ONNX file that 'fdmo export onnx' "
                f"wrote. Export the run again."
            ) from error
        self._input = self._session.get_inputs()[0].name
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
        missing += [one for one in self.output_names(metadata) if one not in outputs]
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
    def takes_whole_images(self) -> bool:
        """Whether images are given as they are, with preprocessing in the graph."""
        return self._input == INPUT_IMAGE

    @property
    def image_size(self) -> int:
        """Side of the square input, in pixels; 0 of a classifier of features."""
        return int(self.metadata["preprocessing"].get("image_size", 0))

    @property
    def feature_dim(self) -> int:
        """F, length of the input; 0 of a classifier of images."""
        return int(self.metadata["preprocessing"].get("feature_dim", 0))

    def output_names(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the outputs in order."""
        return output_names(
            of_features=self._input == INPUT_FEATURES,
            num_landmarks=len(metadata.get("landmark_names", ())),
        )

    def run(
        self, inputs: NDArray[Any], *, boxes: NDArray[np.float32] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Return the outputs by name.

        Args:
            inputs: RGB images of one size, shape ``(B, H, W, 3)``, uint8. Of a file without
                preprocessing: letterboxed, shape ``(B, 3, S, S)``, uint8. Of one for features:
                shape ``(B, F)``, float32.
            boxes: Left, top, right, bottom in pixels, for each image or one for all. Shape
                ``(B, 4)`` or ``(1, 4)``.

        Raises:
            ExportError: They have another shape or type.
        """
        feed: dict[str, NDArray[Any]] = {self._input: inputs}
        if boxes is not None:
            feed[INPUT_BOX] = boxes
        names = self.output_names(self.metadata)
        return dict(zip(names, self._session.run(list(names), feed), strict=True))
