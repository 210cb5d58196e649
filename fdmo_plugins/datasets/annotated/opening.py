"""From items and their splits to an open data set."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdmo_core import Splits
from fdmo_plugins.datasets.annotated.classes import kept_classes
from fdmo_plugins.datasets.annotated.items import Items, digest_of
from fdmo_plugins.datasets.annotated.split import AnnotatedSplit
from fdmo_plugins.datasets.layout import SPLITS


def open_splits(
    root: Path,
    items: Items,
    splits: NDArray[np.int8],
    *,
    category_names: tuple[str, ...],
    landmark_names: tuple[str, ...],
    mirrored_landmarks: tuple[tuple[int, int], ...],
    skipped: Mapping[str, str],
    max_pixels: int,
    keep_empty: bool = False,
) -> Splits:
    """Return the splits with labels of the categories that are kept.

    Args:
        root: What the paths of the items are relative to.
        items: Labels are indices of ``category_names``.
        splits: Index of each item in train, val, test. Shape ``(N,)``, int8.
        category_names: Of all categories.
        landmark_names: As in :class:`Splits`.
        mirrored_landmarks: As in :class:`Splits`.
        skipped: What was left out already.
        max_pixels: As in :func:`fdmo_core.images.read_rgb`.
        keep_empty: Whether categories without a training image stay classes.

    Raises:
        DataError: Fewer than two categories have a training image.
    """
    kept = kept_classes(category_names, items.labels, splits, keep_empty=keep_empty)
    items = replace(items, labels=kept.new_labels[items.labels])
    parts = [
        items.taken(np.flatnonzero((splits == at) & (items.labels >= 0)))
        for at in range(len(SPLITS))
    ]
    train, val, test = (
        AnnotatedSplit(root, part, len(landmark_names), max_pixels) for part in parts
    )
    return Splits(
        class_names=kept.names,
        train=train,
        val=val,
        test=test,
        digest=digest_of(parts, (*kept.names, "", *landmark_names)),
        landmark_names=landmark_names,
        mirrored_landmarks=mirrored_landmarks,
        skipped={**skipped, **kept.dropped},
        keeps_empty_classes=keep_empty,
    )
