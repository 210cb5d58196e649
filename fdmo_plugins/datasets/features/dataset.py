"""Features that something else computed, with their labels, as a data set."""

from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fdmo_core import ConfigError, DataError, Dataset, DatasetConfig, Splits
from fdmo_plugins.datasets.features.inspection import digest_features, require_shapes
from fdmo_plugins.datasets.features.labels import classes_to_learn, read_labels, read_splits
from fdmo_plugins.datasets.features.numpy_files import open_npy, open_npz, read_npy
from fdmo_plugins.datasets.features.parquet_files import ParquetFeatures
from fdmo_plugins.datasets.features.split import FeatureSplit
from fdmo_plugins.datasets.features.stored import (
    FEATURES_KEYS,
    LABELS_KEYS,
    Keys,
    StoredFeatures,
)
from fdmo_plugins.datasets.features.tensor_files import open_safetensors
from fdmo_plugins.datasets.held_out import TEST, TRAIN, VAL, drawn_splits, nothing_drawn
from fdmo_plugins.datasets.layout import SPLITS


class FeaturesConfig(DatasetConfig):
    """Options of :class:`FeaturesDataset`."""

    name: Literal["features"] = "features"
    image_size: int = Field(
        default=16, ge=16, le=1024, description="Without effect: features have no pixels."
    )
    file: str = Field(
        default="", description="The features: a .npz, .npy, .safetensors or .parquet file."
    )
    labels_file: str = Field(
        default="", description="A .npy file with the labels; empty if they are in the same file."
    )
    split_file: str = Field(
        default="", description="A .npy file with the split of each row; empty if there is none."
    )
    features_key: str = Field(
        default="", description="Name of the features; empty for features, X or embeddings."
    )
    labels_key: str = Field(
        default="", description="Name of the labels; empty for labels, y or label."
    )
    split_key: str = Field(
        default="split", description="Name of the splits, if there; empty to draw the splits."
    )
    feature_columns: tuple[str, ...] = Field(
        default=(), description="Parquet: columns of one feature each; none for all that are left."
    )
    stream_dims: tuple[int, ...] = Field(
        default=(),
        description="How a row divides into streams, such as [2048, 2048]; none for what the file "
        "says, or one stream.",
    )
    val_share: float = Field(
        default=0.1, ge=0, lt=1, description="Share of each class to validate with, if no row says."
    )
    test_share: float = Field(
        default=0.2, ge=0, lt=1, description="Share of each class to test with, if no row says."
    )

    @model_validator(mode="after")
    def _shares_leave_something_to_train_with(self) -> Self:
        if self.val_share + self.test_share >= 1:
            raise ValueError(
                f"val_share {self.val_share:g} and test_share {self.test_share:g} leave nothing "
                f"to train with. Expected a sum below 1. Lower one of them."
            )
        return self

    @model_validator(mode="after")
    def _streams_have_a_length(self) -> Self:
        if any(one < 1 for one in self.stream_dims):
            raise ValueError(
                f"stream_dims is {list(self.stream_dims)}. Expected lengths of at least 1. "
                f"Correct it."
            )
        return self


class FeaturesDataset(Dataset):
    """Embeddings with labels from a file, a row for each sample; no image is needed.

    Features stay in the file, which is mapped, and are read a row at a time; those that are
    compressed, in bfloat16 or in a Parquet file are read whole when the data set is opened. One
    pass then looks for NaN and makes the digest, which follows the values, not the file.

    The class names are those of the training rows. A split that no row names is drawn from the
    training rows, class by class, by its share; a class always keeps a row to train with.

    Args:
        config: Where the files are, and how rows are split.
        seed: Decides which rows of a class are drawn, one class apart from the others.
    """

    config_class: ClassVar[type[DatasetConfig]] = FeaturesConfig
    config: FeaturesConfig

    def load(self) -> Splits:
        """Return the splits; errors as in :meth:`Dataset.load`."""
        file = self._existing("file")
        stored = self._open(file)
        labels = stored.labels
        if labels is None:
            labels = read_npy(self._existing("labels_file"))
        raw_splits = stored.splits
        if self.config.split_file:
            raw_splits = read_npy(self._existing("split_file"))
        require_shapes(stored.features, labels, raw_splits)
        stream_dims = self._stream_dims(stored)
        content = digest_features(stored.features, stored.columns, file)

        names, numbers = read_labels(labels, stored.class_names)
        splits = self._splits(raw_splits, numbers, names)
        class_names = names
        if not stored.keeps_empty_classes:
            class_names, numbers = classes_to_learn(names, numbers, splits)
        train, val, test = (
            self._split(stored, numbers, np.flatnonzero(splits == code), file)
            for code in (TRAIN, VAL, TEST)
        )
        return Splits(
            class_names=class_names,
            train=train,
            val=val,
            test=test,
            digest=_digest(content, numbers, splits, [*class_names, "", *map(str, stream_dims)]),
            skipped={
                f"class {name}": "The class has no training row and was left out."
                for name in names
                if name not in class_names
            },
            keeps_empty_classes=stored.keeps_empty_classes,
            stream_dims=stream_dims,
        )

    def _existing(self, setting: str) -> Path:
        """Return the file that a setting names."""
        text = getattr(self.config, setting)
        if not text:
            wanted = {
                "file": "a .npz, .npy, .safetensors or .parquet file of features",
                "labels_file": "a .npy file with a label for each row, since data.file has none",
            }[setting]
            raise ConfigError(f"data.{setting} is empty. Expected {wanted}. Set data.{setting}.")
        path = Path(text).expanduser()
        if not path.is_file():
            raise DataError(f"'{path}' is no file. Expected one. Correct data.{setting}.")
        return path

    def _open(self, file: Path) -> StoredFeatures:
        config = self.config
        keys = Keys(
            features=(config.features_key,) if config.features_key else FEATURES_KEYS,
            labels=self._labels_keys(),
            split=(config.split_key,) if config.split_key and not config.split_file else (),
            columns=config.feature_columns,
        )
        match suffix := file.suffix.lower():
            case ".npz":
                return open_npz(file, keys)
            case ".npy":
                return StoredFeatures(open_npy(file), None, None)
            case ".safetensors":
                return open_safetensors(file, keys)
            case ".parquet":
                return ParquetFeatures(file, keys).open()
        raise ConfigError(
            f"'{file}' ends in '{suffix}'. Expected .npz, .npy, .safetensors or .parquet. Convert "
            f"the file, and correct data.file."
        )

    def _labels_keys(self) -> tuple[str, ...]:
        if self.config.labels_file:
            return ()
        return (self.config.labels_key,) if self.config.labels_key else LABELS_KEYS

    def _stream_dims(self, stored: StoredFeatures) -> tuple[int, ...]:
        length = stored.features.shape[1]
        stream_dims = self.config.stream_dims or stored.stream_dims or (length,)
        if sum(stream_dims) != length:
            raise ConfigError(
                f"data.stream_dims is {list(stream_dims)}, {sum(stream_dims)} in all, and a row "
                f"has {length} features. Expected the same sum. Correct data.stream_dims."
            )
        return stream_dims

    def _splits(
        self, raw: NDArray[Any] | None, labels: NDArray[np.int64], names: tuple[str, ...]
    ) -> NDArray[np.int8]:
        """Return the code of each row's split, those that no row names drawn from train."""
        given = np.full(len(labels), TRAIN, np.int8) if raw is None else read_splits(raw)
        wanted = {VAL: self.config.val_share, TEST: self.config.test_share}
        shares = {code: share for code, share in wanted.items() if code not in given}
        splits, candidates = given.copy(), np.flatnonzero(given == TRAIN)
        splits[candidates] = drawn_splits(
            labels[candidates],
            names,
            val_share=shares.get(VAL, 0.0),
            test_share=shares.get(TEST, 0.0),
            seed=self.seed,
            of="features",
        )
        for code, share in shares.items():
            if share > 0 and code not in splits:
                largest = int(np.bincount(labels[splits == TRAIN], minlength=1).max())
                raise nothing_drawn(SPLITS[code], share, largest=largest, sample="row")
        return splits

    def _split(
        self,
        stored: StoredFeatures,
        labels: NDArray[np.int64],
        rows: NDArray[np.int64],
        file: Path,
    ) -> FeatureSplit:
        return FeatureSplit(stored.features, stored.sources, rows, labels[rows], file.name)


def _digest(
    content: bytes, labels: NDArray[np.int64], splits: NDArray[np.int8], names: list[str]
) -> str:
    """Return a digest of all that decides what a sample holds."""
    total = blake2b(content, digest_size=32)
    total.update(labels.astype("<i8").tobytes() + splits.tobytes())
    for name in names:
        total.update(f"{name}\0".encode())
    return total.hexdigest()
