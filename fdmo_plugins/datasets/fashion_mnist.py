"""Fashion-MNIST with a long tail: real photographs of garments, read from idx files."""

import hashlib
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fdmo_core import ConfigError, DataError, Dataset, DatasetConfig, Splits
from fdmo_core.imbalance import GAMO_COUNTS, exponential_counts, step_counts
from fdmo_core.randomness import derive_seed
from fdmo_plugins.datasets.grey_images import GreySplit
from fdmo_plugins.datasets.idx import find_idx, read_idx

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
TORCHVISION_FOLDER = Path("FashionMNIST") / "raw"  # where torchvision puts the files, below root
IMAGES_FILES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}
LABELS_FILES = {"train": "train-labels-idx1-ubyte", "test": "t10k-labels-idx1-ubyte"}

# Mullick et al. 2019, in their code: what is drawn from the first images of each class.
GAMO_TRAIN_POOL = 4000
GAMO_TEST_POOL = 800
GAMO_TEST_COUNT = 100


class FashionMnistConfig(DatasetConfig):
    """Options of :class:`FashionMnistDataset`."""

    name: Literal["fashion-mnist"] = "fashion-mnist"
    image_size: int = Field(
        default=28, ge=16, le=1024, description="Side of the square network input, in pixels."
    )
    root: str = Field(
        default="",
        description="Folder with the four idx files, plain or .gz; empty for the Debian package.",
    )
    download: bool = Field(
        default=False, description="Let torchvision download the files into root if they lack."
    )
    profile: Literal["gamo", "exponential", "step", "full"] = Field(
        default="gamo", description="Which training images per class: the shape of the long tail."
    )
    imbalance_ratio: float = Field(
        default=100.0, ge=1, description="Largest class by smallest; for exponential and step."
    )
    largest_class: int = Field(
        default=4000, ge=1, description="Images of the largest class; for exponential and step."
    )
    gamo_exact: bool = Field(
        default=False, description="Draw train and test with replacement, as GAMO's code does."
    )
    val_per_class: int = Field(
        default=100, ge=0, description="Validation images per class, none of them in train."
    )

    @model_validator(mode="after")
    def _gamo_exact_is_of_gamo(self) -> Self:
        if self.gamo_exact and self.profile != "gamo":
            raise ValueError(
                f"gamo_exact is set and profile is '{self.profile}'. Expected profile 'gamo' with "
                f"it. Set profile = 'gamo' or gamo_exact = false."
            )
        return self


class FashionMnistDataset(Dataset):
    """Ten kinds of garment, 28 x 28 pixels, with a long tail cut by a profile.

    Source: Xiao et al. 2017; the default profile and ``gamo_exact`` are those of Mullick et al.
    2019 (GAMO) and its code.

    Departs from GAMO unless ``gamo_exact`` is set: no image is taken twice, the images are drawn
    from the whole class, and all 10,000 test images are used. GAMO has no validation split; here
    it is taken first, from training images that the long tail leaves over. The images are upright
    in either case; GAMO's code transposes them.

    Args:
        config: Where the files are, and the long tail.
        seed: Decides which images of each class are chosen, one class apart from the others.
    """

    config_class: ClassVar[type[DatasetConfig]] = FashionMnistConfig
    config: FashionMnistConfig

    def load(self) -> Splits:
        """Return the splits; errors as in :meth:`Dataset.load`."""
        folder = _find_folder(self.config)
        train, test = _read_part(folder, "train"), _read_part(folder, "test")
        chosen_train, chosen_val = self._choose_train(train.labels)
        chosen_test = self._choose_test(test.labels)

        digest = hashlib.sha256()
        for whole in (train, test):
            digest.update(whole.images.tobytes() + whole.labels.tobytes())
        for positions in (chosen_train, chosen_val, chosen_test):
            digest.update(len(positions).to_bytes(8, "big") + positions.tobytes())
        return Splits(
            class_names=CLASS_NAMES,
            train=train.take(chosen_train),
            val=train.take(chosen_val),
            test=test.take(chosen_test),
            digest=digest.hexdigest(),
        )

    def _choose_train(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Return the positions of the images to train with, and of those to validate with."""
        available = np.bincount(labels, minlength=len(CLASS_NAMES))  # (C,)
        train, val = [], []
        for label, count in enumerate(_counts(self.config, available)):
            _check_enough(self.config, label, count, int(available[label]))
            images = np.flatnonzero(labels == label)
            drawn = _draw(images, count, self.config, self._rng("train", label))
            train.append(drawn[0])
            val.append(drawn[1])
        return np.concatenate(train), np.concatenate(val)

    def _choose_test(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        if not self.config.gamo_exact:
            return np.arange(len(labels))
        pools = (
            np.flatnonzero(labels == label)[:GAMO_TEST_POOL] for label in range(len(CLASS_NAMES))
        )
        drawn = [
            self._rng("test", label).choice(pool, GAMO_TEST_COUNT)
            for label, pool in enumerate(pools)
        ]
        return np.concatenate(drawn)

    def _rng(self, split: str, label: int) -> np.random.Generator:
        return np.random.default_rng(derive_seed(self.seed, "fashion-mnist", split, label))


def _counts(config: FashionMnistConfig, available: NDArray[np.int64]) -> tuple[int, ...]:
    match config.profile:
        case "gamo":
            return GAMO_COUNTS
        case "exponential":
            return exponential_counts(config.largest_class, len(available), config.imbalance_ratio)
        case "step":
            return step_counts(config.largest_class, len(available), config.imbalance_ratio)
        case "full":
            return tuple(max(int(images) - config.val_per_class, 1) for images in available)


def _check_enough(config: FashionMnistConfig, label: int, count: int, available: int) -> None:
    pool = GAMO_TRAIN_POOL if config.gamo_exact else count
    if available < pool + config.val_per_class:
        raise ConfigError(
            f"Class '{CLASS_NAMES[label]}' has {available} training images. Expected at least "
            f"{pool + config.val_per_class}: {pool} for the profile '{config.profile}' and "
            f"{config.val_per_class} for validation. Lower data.val_per_class, or choose another "
            f"data.profile or data.largest_class."
        )


def _draw(
    images: NDArray[np.int64], count: int, config: FashionMnistConfig, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which images of one class to train with, and which to validate with."""
    if config.gamo_exact:
        leftover = rng.permutation(images[GAMO_TRAIN_POOL:])
        return rng.choice(images[:GAMO_TRAIN_POOL], count), leftover[: config.val_per_class]
    val, train, _ = np.split(
        rng.permutation(images), [config.val_per_class, config.val_per_class + count]
    )
    return train, val


def _find_folder(config: FashionMnistConfig) -> Path:
    """Return the folder that holds the four files, after a download if the config wants one."""
    root = Path(config.root).expanduser() if config.root else DEBIAN_FOLDER
    names = (*IMAGES_FILES.values(), *LABELS_FILES.values())
    for folder in (root, root / TORCHVISION_FOLDER):
        if all(find_idx(folder, name) for name in names):
            return folder
    if config.download:
        return _download(config.root)
    missing = next(name for name in names if not find_idx(root, name))
    raise DataError(
        f"Fashion-MNIST is not in '{root}': {missing} is missing. Expected its four idx files, "
        f"plain or .gz. Run 'apt-get install dataset-fashion-mnist' and leave data.root empty, or "
        f"set data.root to a folder that has them, or to any folder with data.download = true."
    )


def _download(root: str) -> Path:
    if not root:
        raise ConfigError(
            "data.download is true and data.root is empty. Expected a folder to download "
            "Fashion-MNIST into. Set data.root."
        )
    from torchvision.datasets import FashionMNIST  # a slow import that only a download needs

    folder = Path(root).expanduser()
    try:
        FashionMNIST(folder, download=True)
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"Fashion-MNIST cannot be downloaded into '{folder}' ({error}). Expected a connection "
            f"and a writable folder. Try again, or run 'apt-get install dataset-fashion-mnist' and "
            f"leave data.root empty."
        ) from error
    return folder / TORCHVISION_FOLDER


def _read_part(folder: Path, part: str) -> GreySplit:
    """Return all images of the ``train`` or the ``test`` files."""
    images_path = find_idx(folder, IMAGES_FILES[part])
    labels_path = find_idx(folder, LABELS_FILES[part])
    assert images_path is not None
    assert labels_path is not None
    images = read_idx(images_path, item_shape=(28, 28))
    labels = read_idx(labels_path, item_shape=()).astype(np.int64)
    if len(images) != len(labels):
        raise DataError(
            f"'{images_path}' has {len(images)} images and '{labels_path}' {len(labels)} labels. "
            f"Expected as many of both. Copy or download the files again."
        )
    if set(np.unique(labels).tolist()) != set(range(len(CLASS_NAMES))):
        raise DataError(
            f"'{labels_path}' has the labels {np.unique(labels).tolist()}. Expected 0 to "
            f"{len(CLASS_NAMES) - 1}, each at least once. Copy or download the file again."
        )
    return GreySplit(images, labels, np.arange(len(labels)), IMAGES_FILES[part])
