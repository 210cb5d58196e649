"""Run an exported file with onnxruntime; no torch is imported."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdmo_core.errors import ConfigError, ExportError
from fdmo_export.binding import run_bound
from fdmo_export.boxes import clip_box, read_boxes, require_boxes
from fdmo_export.contract import (
    DIGEST_KEY,
    INPUT_BOX,
    INPUT_TARGET_PRIOR,
    INPUT_TAU,
    OUTPUT_LANDMARKS,
    OUTPUT_PROBABILITIES,
    OUTPUT_VISIBILITY,
)
from fdmo_export.dials import TargetPrior, read_prior, read_tau
from fdmo_export.inputs import require_input, require_profile
from fdmo_export.metadata import Source, describe_source, require_graph
from fdmo_export.onnxruntime_package import import_onnxruntime as import_onnxruntime
from fdmo_export.pictures import MAX_PIXELS, Picture, list_pictures, pack, read_picture, stack
from fdmo_export.prediction import Prediction, make_predictions
from fdmo_export.providers import SessionSettings, open_session
from fdmo_export.tensorrt import ShapeProfile
from fdmo_export.threads import available_threads

PREDICTED = (OUTPUT_PROBABILITIES, OUTPUT_LANDMARKS, OUTPUT_VISIBILITY)

Feed = dict[str, NDArray[Any]]

MAX_THREADS = 1024  # more than any machine has cores; a million of them never start
MAX_BATCH = 65_536


class OnnxClassifier:
    """An exported classifier.

    Attributes:
        metadata: The JSON document that docs/onnx.md lists.
        provider: The execution provider that is active: ``"cpu"``, ``"cuda"`` or ``"tensorrt"``.
        passed_over: Better ones that were tried, each with what keeps it from starting.

    Args:
        source: The ONNX file, or its content.
        provider: The one that is wanted; ``"auto"`` is the best that becomes active: TensorRT
            (only with a cache folder), CUDA, the CPU.
        allow_cpu: Whether the CPU will do where the provider cannot be had.
        threads: That compute on the CPU; None is as many as this process may use.
        spin: Whether they wait for work in a loop; turn it off where others need the cores.
        cache_dir: Where TensorRT keeps engines and timings; None is the user's cache folder.
        profile: Sizes that TensorRT's engines are built for.

    Raises:
        ConfigError: A setting is out of range.
        ExportError: The file is missing, changed or not fdmo's, or the provider is not active.
        MissingRuntimeError: onnxruntime is not installed.
    """

    def __init__(
        self,
        source: Path | str | bytes,
        *,
        provider: str = "auto",
        allow_cpu: bool = False,
        threads: int | None = None,
        spin: bool = True,
        cache_dir: Path | None = None,
        profile: ShapeProfile | None = None,
    ) -> None:
        import_onnxruntime()
        settings = SessionSettings(
            provider=provider,
            allow_cpu=allow_cpu,
            threads=_within(
                "threads", available_threads() if threads is None else threads, MAX_THREADS
            ),
            spin=spin,
            cache_dir=cache_dir,
            profile=profile or ShapeProfile(),
        )
        if isinstance(source, bytes):
            file = Source(source, "The file")
        else:
            file = Source(Path(source), str(source))
        self._described = describe_source(file)
        opened = open_session(file, settings, self._described)
        self._session, self.provider, self.passed_over = opened
        require_graph(self._session, self._described, file.name)
        self._profile = settings.profile
        self.metadata = self._described.entries

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in label order."""
        return self._described.class_names

    @property
    def landmark_names(self) -> tuple[str, ...]:
        """Landmarks in order; none without a landmark head."""
        return self._described.landmark_names

    @property
    def digest(self) -> str:
        """The file's own, which tells it from all others."""
        found: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return found[DIGEST_KEY]

    @property
    def takes_whole_images(self) -> bool:
        """Whether images are given as they are, with preprocessing in the graph."""
        return self._described.takes_whole_images

    @property
    def image_size(self) -> int:
        """Side of the square input, in pixels; 0 of a classifier of features."""
        return self._described.image_size

    @property
    def feature_dim(self) -> int:
        """F, length of the input; 0 of a classifier of images."""
        return self._described.feature_dim

    @property
    def output_names(self) -> tuple[str, ...]:
        """Outputs of :meth:`run` in order."""
        return self._described.output_names

    def predict(
        self,
        images: Picture | Sequence[Picture],
        *,
        boxes: ArrayLike | Sequence[ArrayLike | None] | None = None,
        target_prior: TargetPrior | None = None,
        tau: float | None = None,
        batch_size: int = 32,
        max_pixels: int = MAX_PIXELS,
    ) -> list[Prediction]:
        """Return what each image shows, in their order.

        Args:
            images: One or several, of any sizes and kinds: RGB pixels of shape ``(H, W, 3)``,
                uint8; paths of image files; or the bytes of such files. A batch of shape
                ``(B, H, W, 3)`` will do as well.
            boxes: What of each image is to be classified: left, top, right, bottom in pixels, or
                None for the whole of it. Shape ``(B, 4)``.
            target_prior: How frequent each class is here: probabilities in label order or by
                name, ``"balanced"``, or ``"training"``; by default what the scores take for
                granted.
            tau: How far to follow it; 1 by default, 0 is not at all.
            batch_size: Images that are computed, and held in memory, at once.
            max_pixels: Width times height above which an image is refused.

        Raises:
            DataError: An image cannot be read, or a box holds nothing of it.
            ShapeError: An array is no RGB image, or boxes and images do not fit together.
            ConfigError: A dial is out of range.
            ExportError: The file takes no whole images.
        """
        if not self.takes_whole_images:
            raise ExportError(
                f"The file takes '{self._described.input_name}', not whole images. Expected a "
                f"file with preprocessing. Call run() with what it takes, or export a run on "
                f"images without --no-preprocessing."
            )
        pictures = list_pictures(images)
        step = _within("batch_size", batch_size, MAX_BATCH)
        areas = read_boxes(boxes, images=len(pictures))
        dials = self._dials(target_prior, tau)
        found: list[Prediction] = []
        for start in range(0, len(pictures), step):
            arrays = [
                read_picture(one, max_pixels=max_pixels, index=start + index)
                for index, one in enumerate(pictures[start : start + step])
            ]
            found += self._answer(arrays, areas[start : start + step], dials, start)
        return found

    def _answer(
        self,
        images: Sequence[NDArray[np.uint8]],
        boxes: Sequence[NDArray[np.float32] | None],
        dials: Feed,
        start: int,
    ) -> list[Prediction]:
        """Return the answers for images that are in memory, in their order."""
        wanted = [one for one in PREDICTED if one in self.output_names]
        answers: dict[int, Prediction] = {}
        for rows in pack([one.shape for one in images], batch_size=len(images)):
            feed = {self._described.input_name: stack([images[row] for row in rows]), **dials}
            shapes = {images[row].shape for row in rows}
            if len(shapes) > 1 or any(boxes[row] is not None for row in rows):
                feed[INPUT_BOX] = np.stack(
                    [clip_box(boxes[row], images[row].shape, index=start + row) for row in rows]
                )
            found = make_predictions(self._compute(wanted, feed), self._described)
            answers |= zip(rows, found, strict=True)
        return [answers[row] for row in range(len(images))]

    def run(
        self,
        inputs: NDArray[Any],
        *,
        boxes: NDArray[np.float32] | None = None,
        target_prior: TargetPrior | None = None,
        tau: float | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        """Return all outputs by name.

        Args:
            inputs: RGB images of one size, shape ``(B, H, W, 3)``, uint8. Of a file without
                preprocessing: letterboxed, shape ``(B, 3, S, S)``, uint8. Of one for features:
                shape ``(B, F)``, float32.
            boxes: Left, top, right, bottom in pixels, for each image or one for all. Shape
                ``(B, 4)`` or ``(1, 4)``, float32.
            target_prior: As in :meth:`predict`.
            tau: Likewise.

        Raises:
            ShapeError: They have another shape or type.
            DataError: A box holds nothing of its image.
            ConfigError: A dial is out of range.
            ExportError: The file takes no boxes.
        """
        require_input(inputs, self._described)
        feed = {self._described.input_name: inputs, **self._dials(target_prior, tau)}
        if boxes is not None:
            if not self.takes_whole_images:
                raise ExportError(
                    f"The file takes '{self._described.input_name}', which are cropped already, "
                    f"and no boxes. Expected none. Leave them out."
                )
            feed[INPUT_BOX] = require_boxes(boxes, inputs)
        return self._compute(list(self.output_names), feed)

    def _dials(self, target_prior: TargetPrior | None, tau: float | None) -> Feed:
        dials: Feed = {}
        if target_prior is not None:
            dials[INPUT_TARGET_PRIOR] = read_prior(target_prior, self._described)
        if tau is not None:
            dials[INPUT_TAU] = read_tau(tau)
        return dials

    def _compute(self, outputs: list[str], feed: Feed) -> dict[str, NDArray[np.float32]]:
        if self.provider == "cpu":
            values = self._session.run(outputs, feed)
        else:
            if self.provider == "tensorrt":
                require_profile(feed[self._described.input_name], self._profile)
            values = run_bound(self._session, outputs, feed)
        return dict(zip(outputs, values, strict=True))


def _within(name: str, value: int, most: int) -> int:
    if not isinstance(value, int) or not 1 <= value <= most:
        raise ConfigError(
            f"{name} is {value!r}. Expected a whole number from 1 to {most}. Give one in that "
            f"range."
        )
    return value
