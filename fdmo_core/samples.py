"""Labelled images as a data set hands them over: samples, splits and landmarks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Visibility(IntEnum):
    """How well a landmark can be seen; data sets map their own codes to this one."""

    ABSENT = 0  # the garment has no such landmark, or nobody labelled it
    TRUNCATED = 1  # outside the picture
    OCCLUDED = 2  # in the picture, hidden behind something
    VISIBLE = 3


NO_IMAGE: NDArray[np.uint8] = np.empty((0, 0, 3), dtype=np.uint8)
"""The image of a sample of which only features are there."""


@dataclass(frozen=True)
class Sample:
    """One image with what is known about it, or the features that stand for one.

    Attributes:
        image: RGB pixels, upright (EXIF orientation applied). Shape ``(H, W, 3)``, uint8.
        label: Class index.
        box: Left, top, right, bottom of the object in pixels, or None for the whole image.
        landmarks: x and y in pixels of ``image``, where whole numbers are the centres of pixels,
            and a :class:`Visibility`. Shape ``(K, 3)``, float32, or None where the data set has no
            landmarks.
        features: What something else computed of the image, which is then :data:`NO_IMAGE`. Shape
            ``(F,)``, float32, finite; None in a data set of images.
    """

    image: NDArray[np.uint8]
    label: int
    box: tuple[float, float, float, float] | None = None
    landmarks: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None


class Split(Protocol):
    """A sequence of samples whose labels are known without reading an image.

    A split must be picklable, so that worker processes can read from it, and reading one sample
    must not depend on which others were read before.
    """

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class of every sample. Shape ``(N,)``, int64."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Return one sample."""
        ...

    def source(self, index: int) -> str:
        """Return what identifies a sample to a person: a path, or a name and a number."""
        ...


@dataclass(frozen=True)
class Splits:
    """A data set, opened.

    Attributes:
        class_names: In label order. The training split fixes the order.
        train: What the model learns from.
        val: What may choose settings.
        test: What chooses nothing.
        digest: Hex digest of everything that decides what a sample holds.
        landmark_names: In the order of the landmarks; empty where there are none.
        mirrored_landmarks: Pairs of landmarks that change places in a mirrored image.
        skipped: Files left out, each with the reason.
        keeps_empty_classes: Whether a class may be without a training image, because the person
            asked for it; otherwise such a class is an error.
        stream_dims: How the features of a sample divide into streams; empty for images.
    """

    class_names: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    digest: str
    landmark_names: tuple[str, ...] = ()
    mirrored_landmarks: tuple[tuple[int, int], ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    keeps_empty_classes: bool = False
    stream_dims: tuple[int, ...] = ()

    @property
    def feature_dim(self) -> int:
        """F, length of a sample's features; 0 for images."""
        return sum(self.stream_dims)

    def named(self) -> dict[str, Split]:
        """Return the splits by name, in the order train, val, test."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def counts(self, split: str) -> NDArray[np.int64]:
        """Return the samples per class of the named split. Shape ``(C,)``, int64."""
        return np.bincount(self.named()[split].labels, minlength=len(self.class_names))
