"""Run an exported file with onnxruntime; no torch is imported."""

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
    output_names,
)
from fdmo_export.opening import describe_file


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

    def __init__(self, path: Path, *, provider: str = "cpu") -> None:
        runtime = import_onnxruntime()
        self.metadata = describe_file(path).metadata
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # not its warnings that an input has a default
        wanted = {
            "cpu": "CPUExecutionProvider",
            "cuda": "CUDAExecutionProvider",
            "tensorrt": "TensorrtExecutionProvider",
        }[provider]
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=[wanted], enable_fallback=0
            )
        except Exception as error:  # onnxruntime raises many types of its own
            if provider != "cpu":
                reason = str(error).strip().partition("\n")[0]
                raise ExportError(
                    f"Provider '{provider}' is not active: {reason}. Expected {wanted} in the "
                    f"session. Install onnxruntime-gpu and its libraries, or use the CPU."
                ) from error
            raise ExportError(
                f"{path} cannot be loaded: {error}. Expected an ONNX file that 'fdmo export onnx' "
                f"wrote. Export the run again."
            ) from error
        if wanted not in self._session.get_providers():
            raise ExportError(
                f"Provider '{provider}' is not active. Expected {wanted} in the session. Install "
                f"onnxruntime-gpu and its libraries, or use the CPU."
            )
        self._input = self._session.get_inputs()[0].name

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in label order."""
        return tuple(self.metadata["class_names"])

    @property
    def takes_whole_images(self) -> bool:
        """Whether images are given as they are, with preprocessing in the graph."""
        return bool(self._input == INPUT_IMAGE)

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
