"""A file that 'fdmo export onnx' wrote, run with onnxruntime and numpy."""

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

FORMAT = 2  # of the metadata
DIGEST_KEY = b"fdmo_sha256"
TOLERANCES = {"fp32": 0.02, "fp16": 0.03, "int8": 0.25}  # in a probability of an example

Images = Sequence[NDArray[np.uint8]]
Answers = dict[str, NDArray[np.float32]]


class SelfTest(NamedTuple):
    """How the file's answers here compare with those that it carries.

    Attributes:
        images: Examples.
        flips: Examples with another best class.
        difference: Largest difference of a probability.
        allowed: How large it may be in a file of this precision.
    """

    images: int
    flips: int
    difference: float
    allowed: float

    @property
    def passed(self) -> bool:
        """Whether all probabilities are as close as they should be."""
        return self.difference <= self.allowed  # not-a-number is not


class Classifier:
    """A classifier of whole images.

    Attributes:
        about: What the file says of itself; docs/onnx.md lists its entries.
        class_names: In the order of the probabilities.

    Args:
        path: The ONNX file.

    Raises:
        ValueError: The file was changed, or takes something else than whole images.
    """

    def __init__(self, path: Path) -> None:
        require_digest(path.read_bytes())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # it warns that optional inputs have defaults
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.about: dict[str, Any] = json.loads(metadata["fdmo"])
        if self.about["format"] != FORMAT or not self.about["preprocessing"].get("in_graph"):
            raise ValueError(
                f"{path} takes no whole images, or its metadata are not of format {FORMAT}. "
                f"Expected what 'fdmo export onnx' writes without --no-preprocessing. Export the "
                f"run again."
            )
        self._golden = json.loads(metadata["fdmo_golden"])
        self.class_names: list[str] = self.about["class_names"]

    def classify(
        self,
        images: Images,
        *,
        boxes: ArrayLike | None = None,
        target_prior: ArrayLike | None = None,
        tau: float = 1.0,
    ) -> Answers:
        """Return the outputs of the file by name, the images as one batch.

        Args:
            images: RGB, upright, of any sizes. Shape ``(H, W, 3)`` each, uint8.
            boxes: For each image left, top, right and bottom of what is to be classified, in
                pixels; default the whole image. Shape ``(B, 4)``.
            target_prior: How frequent each class is where you use the file; default as frequent as
                the scores take it to be, which changes nothing. Shape ``(C,)``.
            tau: How far the scores follow ``target_prior``; 0 is not at all.

        Raises:
            ValueError: A box has no area inside its image.
        """
        given = {"target_prior": target_prior, "tau": tau, "box": clipped(boxes, images)}
        feed: dict[str, NDArray[Any]] = {"image": padded(images)}
        for name, value in given.items():
            if value is not None:
                feed[name] = np.array(value, dtype=np.float32)
        names = [one.name for one in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, feed), strict=True))

    def self_test(self) -> SelfTest:
        """Classify the images that the file carries and compare with what it says of them."""
        images = [
            np.frombuffer(zlib.decompress(base64.b64decode(one["data"])), dtype=np.uint8).reshape(
                one["shape"]
            )
            for one in self._golden
        ]
        expected = np.array([one["outputs"]["probabilities"] for one in self._golden])
        found = self.classify(images)["probabilities"]
        flips = int((expected.argmax(axis=1) != found.argmax(axis=1)).sum())
        difference = float(abs(expected - found).max())
        allowed = TOLERANCES[self.about["precision"]["name"]]
        return SelfTest(len(images), flips, difference, allowed)


def clipped(boxes: ArrayLike | None, images: Images) -> NDArray[np.float32]:
    """Return the boxes as far as they are inside their images, shape ``(B, 4)``."""
    ends = np.array([[image.shape[1], image.shape[0]] * 2 for image in images], dtype=np.float32)
    if boxes is None:
        boxes = ends * [0, 0, 1, 1]
    inside: NDArray[np.float32] = np.clip(np.asarray(boxes, dtype=np.float32), 0, ends)
    for box, (width, height, *_) in zip(inside, ends, strict=True):
        if not (box[2:] > box[:2]).all():
            raise ValueError(
                f"A box has no area inside its image of {width:.0f} x {height:.0f} pixels. "
                f"Expected left, top, right, bottom in pixels. Correct it, or give none."
            )
    return inside


def padded(images: Images) -> NDArray[np.uint8]:
    """Return images as one array, filled up with zeros; each image's box keeps the rest out."""
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    batch = np.zeros((len(images), height, width, 3), dtype=np.uint8)
    for row, image in zip(batch, images, strict=True):
        row[: image.shape[0], : image.shape[1]] = image
    return batch


def require_digest(content: bytes) -> None:
    """Raise a ValueError unless the file is as it was: it carries the SHA-256 of its own bytes."""
    start = content.rfind(DIGEST_KEY) + len(DIGEST_KEY) + 2  # tag and length of the value
    end = start + 64
    # The digest is that of the bytes with zeros in its own place.
    digest = hashlib.sha256(content[:start] + b"0" * 64 + content[end:]).hexdigest()
    if digest.encode() != content[start:end]:
        raise ValueError(
            "The file is not as it was exported: its digest is missing or wrong. Expected an "
            "unchanged file that 'fdmo export onnx' wrote. Fetch it again, or export the run again."
        )
