"""Digits with a long tail: the small handwritten ones that scikit-learn carries."""

import hashlib
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fdmo_core import ConfigError, Dataset, DatasetConfig, Splits
from fdmo_core.imbalance import exponential_counts, step_counts
from fdmo_core.randomness import derive_seed
from fdmo_plugins.datasets.grey_images import GreySplit

CLASS_NAMES = tuple(str(digit) for digit in range(10))
LONG_TAIL_COUNTS = (120, 70, 40, 28, 20, 14, 10, 7, 5, 4)
"""Training images per class, from the most frequent to the rarest; 318, with an imbalance of 30."""

BRIGHTEST = 16  # the pixels count the dark ones among 4 x 4 of the scanned digit


class DigitsConfig(DatasetConfig):
    """Options of :class:`DigitsDataset`."""

    name: Literal["digits"] = "digits"
    image_size: int = Field(
        default=16, ge=16, le=1024, description="Side of the square network input, in pixels."
    )
    profile: Literal["long-tail", "exponential", "step"] = Field(
        default="long-tail",
        description="Training images per class: 120, 70, 40, 28, 20, 14, 10, 7, 5, 4, or computed.",
    )
    imbalance_ratio: float = Field(
        default=30.0, ge=1, description="Largest class by smallest; for exponential and step."
    )
    largest_class: int = Field(
        default=120, ge=1, description="Images of the largest class; for exponential and step."
    )
    val_per_class: int = Field(
        default=20, ge=0, description="Validation images per class, the same ones for every seed."
    )


class DigitsDataset(Dataset):
    """Ten handwritten digits, 8 x 8 pixels, with a long tail; all else is the test split.

    Which digit is how rare is drawn by the seed, so that several seeds are several problems. The
    validation images are spread evenly over each class in the order of the collection. They do
    not depend on the seed, so no seed learns from or tests on what another one validates with.

    Source: Alpaydin and Kaynak 1998, as scikit-learn's ``load_digits`` has them, 1,797 images.

    Args:
        config: The long tail, and how many images validate.
        seed: Decides which digits are rare, and which of their images are learned from.

    Raises:
        ConfigError: scikit-learn is not installed.
    """

    config_class: ClassVar[type[DatasetConfig]] = DigitsConfig
    config: DigitsConfig

    def __init__(self, config: Any, *, seed: int) -> None:
        super().__init__(config, seed=seed)
        self._load_digits = _import_load_digits()  # the import itself draws from random

    def load(self) -> Splits:
        """Return the splits; errors as in :meth:`Dataset.load`.

        Raises:
            ConfigError: A class has too few images.
        """
        whole = _as_split(self._load_digits())
        rarity = np.random.default_rng(derive_seed(self.seed, "digits", "rarity"))
        counts = rarity.permutation(_counts(self.config))  # (C,)
        chosen: dict[str, list[NDArray[np.int64]]] = {"train": [], "val": [], "test": []}
        for label, count in enumerate(counts.tolist()):
            images = np.flatnonzero(whole.labels == label)
            for split, positions in self._choose(images, label, count).items():
                chosen[split].append(positions)
        splits = {split: np.concatenate(of_classes) for split, of_classes in chosen.items()}

        digest = hashlib.sha256(whole.images.tobytes() + whole.labels.tobytes())
        for own in splits.values():
            digest.update(len(own).to_bytes(8, "big") + own.tobytes())
        return Splits(
            class_names=CLASS_NAMES,
            train=whole.take(splits["train"]),
            val=whole.take(splits["val"]),
            test=whole.take(splits["test"]),
            digest=digest.hexdigest(),
        )

    def _choose(
        self, images: NDArray[np.int64], label: int, count: int
    ) -> dict[str, NDArray[np.int64]]:
        """Return which images of one class are in which split; shapes ``(N,)``."""
        num_val = self.config.val_per_class
        if len(images) < count + num_val + 1:
            raise ConfigError(
                f"Digit {label} has {len(images)} images. Expected at least {count + num_val + 1}: "
                f"{count} to train with, {num_val} to validate and one to test. Lower "
                f"data.val_per_class or data.largest_class."
            )
        is_val = np.zeros(len(images), dtype=bool)
        is_val[np.arange(num_val) * len(images) // max(num_val, 1)] = True
        rng = np.random.default_rng(derive_seed(self.seed, "digits", "train", label))
        train, test = np.split(rng.permutation(images[~is_val]), [count])
        return {"train": train, "val": images[is_val], "test": np.sort(test)}


def _counts(config: DigitsConfig) -> tuple[int, ...]:
    """Return the training images of the classes, the most frequent one first."""
    match config.profile:
        case "long-tail":
            return LONG_TAIL_COUNTS
        case "exponential":
            return exponential_counts(
                config.largest_class, len(CLASS_NAMES), config.imbalance_ratio
            )
        case "step":
            return step_counts(config.largest_class, len(CLASS_NAMES), config.imbalance_ratio)


def _import_load_digits() -> Callable[[], Any]:
    try:
        from sklearn.datasets import load_digits  # an extra: looked for when it is needed
    except ImportError as error:
        raise ConfigError(
            "The data set 'digits' comes with scikit-learn, which is not installed. Expected "
            "scikit-learn 1.5 or later. Install it with: pip install 'fdmo[sklearn]'"
        ) from error
    load: Callable[[], Any] = load_digits
    return load


def _as_split(digits: Any) -> GreySplit:
    images = np.rint(digits.images * (255 / BRIGHTEST)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    return GreySplit(images, labels, np.arange(len(labels)), "digits")
