"""Open the data set of a run, check what it gave, and describe it."""

from collections import Counter
from typing import Any

import numpy as np

from fdmo_core.batches import Batches, LoadingConfig
from fdmo_core.config import Run
from fdmo_core.errors import DataError
from fdmo_core.samples import Splits


def open_data(run: Run) -> Splits:
    """Return the splits of the run's data set, checked.

    Raises:
        DataError: Fewer than two classes, a class without training images, names that repeat, or
            labels out of range.
    """
    splits = run.data.component(run.data.config, seed=run.core.seed).load()
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
    if empty:
        raise DataError(
            f"Classes without a training image: {', '.join(empty)}. Expected at least one of each. "
            f"Drop the classes or add images."
        )
    return splits


def open_batches(splits: Splits, image_size: int, config: LoadingConfig) -> dict[str, Batches]:
    """Return the batches of each split by name."""
    return {
        name: Batches(split, image_size=image_size, config=config)
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


def data_notices(splits: Splits) -> list[str]:
    """Return what a person should know of the data before a run, a sentence each."""
    notices = []
    for name, absent in describe_data(splits)["absent_classes"].items():
        if absent:
            notices.append(
                f"Split '{name}' has no image of: {', '.join(absent)}; its metrics leave them out."
            )
    if splits.skipped:
        notices.append(f"{len(splits.skipped)} file(s) were skipped; data.json says why.")
    if not splits.landmark_names:
        notices.append("The data set has no landmarks, so no landmark head is built.")
    return notices
