"""The data set: which classes there are, how many of each, and the splits."""

import hashlib
import json
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fdmo_core.errors import ConfigError
from fdmo_core.interfaces import Dataset, DatasetConfig
from fdmo_core.samples import Sample, Splits
from fdmo_plugins.datasets.garments.drawing import draw_picture
from fdmo_plugins.datasets.garments.landmarks import LANDMARK_NAMES, MIRRORED_LANDMARKS

DRAWING_VERSION = 1
"""To be raised by every change that alters a picture; part of the digest."""

GARMENTS = (
    ("striped", "tee"),
    ("denim", "trousers"),
    ("checked", "skirt"),
    ("knit", "sweater"),
    ("striped", "dress"),
    ("checked", "shorts"),
    ("knit", "tee"),
    ("striped", "trousers"),
    ("denim", "skirt"),
    ("checked", "sweater"),
    ("denim", "dress"),
    ("knit", "shorts"),
)
"""Fabric and cut of each class, from common to rare.

Every cut occurs once in each half, so that each rare class has a common one of its cut, and
another of its fabric, to be mistaken for; no cut and no fabric is rare as such.
"""

SPLIT_CODES = {"train": 0, "val": 1, "test": 2}


class GarmentsSplit:
    """Pictures that are drawn when they are read.

    Args:
        name: ``"train"``, ``"val"`` or ``"test"``.
        counts: Pictures per class. Shape ``(C,)``.
        seed: Seed of the data set.
    """

    def __init__(self, name: str, *, counts: NDArray[np.int64], seed: int) -> None:
        self.name = name
        self._seed = seed
        self._labels = np.repeat(np.arange(len(counts)), counts)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class of every sample. Shape ``(N,)``, int64."""
        return self._labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Sample:
        return self.draw(index)

    def draw(self, index: int, *, size: int | None = None) -> Sample:
        """Return a sample, if need be larger or smaller than the data set has it.

        Args:
            index: Index of the sample.
            size: Longer side in pixels; by default between 64 and 80, as the seed decides.
        """
        position = range(len(self))[index]
        rng = np.random.default_rng((self._seed, SPLIT_CODES[self.name], position))
        usual_size = int(rng.integers(64, 81))
        label = int(self._labels[position])
        fabric, cut = GARMENTS[label]
        picture = draw_picture(rng, cut=cut, fabric=fabric, size=size or usual_size)
        return Sample(
            image=picture.image, label=label, box=picture.box, landmarks=picture.landmarks
        )

    def source(self, index: int) -> str:
        """Return what identifies a sample to a person."""
        return f"garments/{self.name}/{range(len(self))[index]}"


class GarmentsConfig(DatasetConfig):
    """Settings of :class:`GarmentsDataset`."""

    name: Literal["garments"] = "garments"
    image_size: int = Field(
        default=40, ge=16, le=1024, description="Side of the square network input, in pixels."
    )
    largest_class: int = Field(
        default=400, ge=1, description="Training images of the most common class."
    )
    imbalance_ratio: float = Field(
        default=100.0,
        ge=1.0,
        description="Images of the most common class per image of the rarest; 1 for balance.",
    )
    val_per_class: int = Field(default=25, ge=1, description="Validation images of each class.")
    test_per_class: int = Field(default=60, ge=1, description="Test images of each class.")


class GarmentsDataset(Dataset):
    """Drawn clothes of twelve classes, each a fabric and a cut, with DeepFashion's landmarks."""

    config_class: ClassVar[type[DatasetConfig]] = GarmentsConfig
    config: GarmentsConfig

    def load(self) -> Splits:
        """Return the three splits; nothing is drawn yet.

        Raises:
            ConfigError: The rarest class would have no training image.
        """
        config, num_classes = self.config, len(GARMENTS)
        train = _long_tail(config.largest_class, config.imbalance_ratio)
        val = np.full(num_classes, config.val_per_class)
        test = np.full(num_classes, config.test_per_class)
        return Splits(
            class_names=tuple(f"{fabric} {cut}" for fabric, cut in GARMENTS),
            train=GarmentsSplit("train", counts=train, seed=self.seed),
            val=GarmentsSplit("val", counts=val, seed=self.seed),
            test=GarmentsSplit("test", counts=test, seed=self.seed),
            digest=self._digest(),
            landmark_names=LANDMARK_NAMES,
            mirrored_landmarks=MIRRORED_LANDMARKS,
        )

    def _digest(self) -> str:
        decisive = [DRAWING_VERSION, self.config.model_dump(mode="json"), self.seed]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _long_tail(largest: int, ratio: float) -> NDArray[np.int64]:
    """Return an exponential profile of images per class.

    Source: Cui et al. 2019, Sec. 5.1: n_i = n_0 * mu^i, here with mu such that the last class has
    ``largest / ratio`` images.

    Raises:
        ConfigError: The last class would have no image.
    """
    if round(largest / ratio) < 1:
        raise ConfigError(
            f"imbalance_ratio = {ratio:g} leaves the rarest garment without a training image when "
            f"largest_class = {largest}. Expected a ratio of at most largest_class. Lower "
            f"data.imbalance_ratio, or raise data.largest_class to {int(ratio)} or more."
        )
    steps = np.arange(len(GARMENTS)) / (len(GARMENTS) - 1)
    return np.rint(largest * ratio**-steps).astype(np.int64)
