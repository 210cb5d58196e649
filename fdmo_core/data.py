"""Open the data set of a run, check what it gave, and describe it."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdmo_core.batches import Batches, LoadingConfig
from fdmo_core.component_errors import during, names_components
from fdmo_core.config import Run
from fdmo_core.data_exclusion import exclude_samples
from fdmo_core.errors import ConfigError, DataError
from fdmo_core.samples import Sample, Split, Splits

SPLIT_NAMES = ("train", "val", "test")
SOME_IMAGES = 21  # enough for batches of 1, 3 and 17


@names_components
@during("loading the data")
def open_data(run: Run) -> Splits:
    """Return the splits of the run's data set, checked.

    Raises:
        DataError: Fewer than two classes, a class without training images, names that repeat, or
            labels out of range; or the report in ``data.exclude`` is of other data.
    """
    splits = run.data.component(run.data.config, seed=run.core.seed).load()
    if run.data.config.exclude:
        splits = exclude_samples(splits, Path(run.data.config.exclude))
    num_classes = len(splits.class_names)
    repeated = [name for name, count in Counter(splits.class_names).items() if count > 1]
    if repeated:
        raise DataError(
            f"Class names repeat: {', '.join(repeated)}. Expected each once. Rename the classes."
        )
    if num_classes < 2:
        raise DataError(
            f"The training split has {num_classes} class(es): {', '.join(splits.class_names)}. "
            f"Expected at least 2. Check that data points at the folder above the classes."
        )
    for name, split in splits.named().items():
        outside = split.labels[(split.labels < 0) | (split.labels >= num_classes)]
        if len(outside):
            raise DataError(
                f"Split '{name}' has label {outside[0]}. Expected 0 to {num_classes - 1}, one for "
                f"each class of the training split. Remove the class or add it to training."
            )
    empty = [splits.class_names[label] for label in np.flatnonzero(splits.counts("train") == 0)]
    if empty and not splits.keeps_empty_classes:
        raise DataError(
            f"Classes without a training image: {', '.join(empty)}. Expected at least one of each. "
            f"Drop the classes or add images."
        )
    return splits


def open_batches(splits: Splits, image_size: int, config: LoadingConfig) -> dict[str, Batches]:
    """Return the batches of each split by name."""
    return {
        name: Batches(split, image_size=image_size, config=config, feature_dim=splits.feature_dim)
        for name, split in splits.named().items()
    }


def describe_data(splits: Splits) -> dict[str, Any]:
    """Return what ``data.json`` holds: names in label order, counts, skipped files, digest."""
    counts = {name: splits.counts(name) for name in splits.named()}
    return {
        "class_names": list(splits.class_names),
        "counts": {name: one.tolist() for name, one in counts.items()},
        "absent_classes": {
            name: [splits.class_names[label] for label in np.flatnonzero(one == 0)]
            for name, one in counts.items()
        },
        "landmark_names": list(splits.landmark_names),
        "skipped": dict(splits.skipped),
        "digest": splits.digest,
    }


def data_notices(splits: Splits, *, mirrors: bool) -> list[str]:
    """Return what a person should know of the data before a run, a sentence each.

    Args:
        splits: The opened data set.
        mirrors: Whether training images may be mirrored.
    """
    notices = []
    for name, absent in describe_data(splits)["absent_classes"].items():
        if absent:
            notices.append(
                f"Split '{name}' has no image of: {', '.join(absent)}; its metrics leave them out."
            )
    if splits.skipped:
        notices.append(
            f"{len(splits.skipped)} file(s) or folder(s) were skipped; data.json says why."
        )
    if splits.feature_dim:
        notices.append(
            "The data are features: phase 1 trains the main classifier alone. Settings of "
            "extractors, landmark head, augmentation, cache and phase1.shape_epochs do not apply. "
            "The preset 'features' has rates and epochs that suit it."
        )
    elif not splits.landmark_names:
        notices.append("The data set has no landmarks, so no landmark head is built.")
    elif mirrors and not splits.mirrored_landmarks:
        notices.append(
            "Images are mirrored, but the data set names no pairs of landmarks, so left ones are "
            "learned as right ones; set augmentation.mirror = false."
        )
    return notices


def require_split(name: str) -> None:
    """Raise a ConfigError if there is no split of that name."""
    if name not in SPLIT_NAMES:
        raise ConfigError(
            f"Unknown split '{name}'. Expected one of: {', '.join(SPLIT_NAMES)}. Correct --split."
        )


@dataclass(frozen=True)
class _Relabelled:
    """A split whose labels follow another class order."""

    split: Split
    new_labels: NDArray[np.int64]

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.new_labels[self.split.labels]

    def __getitem__(self, index: int) -> Sample:
        sample = self.split[index]
        return replace(sample, label=int(self.new_labels[sample.label]))

    def source(self, index: int) -> str:
        return self.split.source(index)


def align_classes(splits: Splits, class_names: tuple[str, ...]) -> Splits:
    """Return the splits with labels in the order of a trained model's classes, matched by name.

    Raises:
        DataError: The data has a class that the model does not know.
    """
    unknown = [name for name in splits.class_names if name not in class_names]
    if unknown:
        raise DataError(
            f"The model does not know the classes: {', '.join(unknown)}. Expected some of: "
            f"{', '.join(class_names)}. Rename the classes, or evaluate other data."
        )
    new_labels = np.array([class_names.index(name) for name in splits.class_names])
    aligned = {name: _Relabelled(split, new_labels) for name, split in splits.named().items()}
    return replace(
        splits,
        class_names=class_names,
        train=aligned["train"],
        val=aligned["val"],
        test=aligned["test"],
    )


def require_input(splits: Splits, feature_dim: int) -> None:
    """Raise a DataError if a network cannot take what the data hold.

    Args:
        splits: The data.
        feature_dim: F of a network for features; 0 of one for images.
    """
    kinds = [
        f"features of length {one}" if one else "images"
        for one in (feature_dim, splits.feature_dim)
    ]
    if kinds[0] != kinds[1]:
        raise DataError(
            f"The data hold {kinds[1]}, and the network was trained on {kinds[0]}. Expected the "
            f"same. Give the data that it was trained on, or others of that kind with --data."
        )


def open_data_for(run: Run, *, feature_dim: int, class_names: tuple[str, ...]) -> Splits:
    """Return the splits of a run's data set as a trained network takes them.

    Args:
        run: Names the data.
        feature_dim: F of a network for features; 0 of one for images.
        class_names: Of the network, in label order.

    Raises:
        DataError: As :func:`open_data`, :func:`require_input` and :func:`align_classes`.
    """
    splits = open_data(run)
    require_input(splits, feature_dim)
    return align_classes(splits, class_names)


def some_samples(splits: Splits) -> tuple[list[Sample], str]:
    """Return a few samples, at most 21, spread over a split, and the split's name.

    They come from the validation split, or where that is empty from the test or training split.
    """
    name = next(one for one in ("val", "test", "train") if len(splits.named()[one].labels))
    split = splits.named()[name]
    rows = np.linspace(0, len(split.labels) - 1, min(SOME_IMAGES, len(split.labels))).astype(int)
    return [split[int(row)] for row in rows], name
