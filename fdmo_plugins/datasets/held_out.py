"""Which samples of a class are held out to validate and to test with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdmo_core import DataError
from fdmo_core.randomness import derive_seed
from fdmo_plugins.datasets.layout import SPLITS

TRAIN, VAL, TEST = range(len(SPLITS))


def held_out_counts(count: int, val_share: float, test_share: float) -> tuple[int, int]:
    """Return how many of a class's samples validate and how many test.

    Both are rounded to the nearest number, halves up. Where that would leave no sample to train
    with, validation gives way first.
    """
    num_test = min(int(count * test_share + 0.5), max(count - 1, 0))
    num_val = min(int(count * val_share + 0.5), max(count - 1 - num_test, 0))
    return num_val, num_test


def drawn_splits(
    labels: NDArray[np.signedinteger[Any]],
    label_names: Sequence[str],
    *,
    val_share: float,
    test_share: float,
    seed: int,
    of: str,
) -> NDArray[np.int8]:
    """Return the split of each sample, where each class is drawn apart from the others.

    Args:
        labels: Shape ``(N,)``.
        label_names: What the draw of a class follows, so that it does not depend on the others.
        val_share: Share of each class to validate with.
        test_share: Share of each class to test with.
        seed: Of the run.
        of: Name of the data set.

    Returns:
        Index in ``SPLITS``. Shape ``(N,)``, int8.
    """
    splits = np.full(len(labels), TRAIN, dtype=np.int8)
    by_class = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels, minlength=len(label_names)))
    for name, own in zip(label_names, np.split(by_class, ends[:-1]), strict=True):
        rng = np.random.default_rng(derive_seed(seed, of, name))
        num_val, num_test = held_out_counts(len(own), val_share, test_share)
        drawn = own[rng.permutation(len(own))]
        splits[drawn[:num_val]] = VAL
        splits[drawn[num_val : num_val + num_test]] = TEST
    return splits


def nothing_drawn(split: str, share: float, *, largest: int, sample: str) -> DataError:
    """Return the error that says that a share held no sample out.

    Args:
        split: ``"val"`` or ``"test"``.
        share: Above 0.
        largest: Training samples of the largest class.
        sample: What a sample is called.
    """
    return DataError(
        f"data.{split}_share = {share:g} draws no {split} {sample} at all: the largest class keeps "
        f"{largest} training {sample}s. Expected at least one. Add {sample}s, raise "
        f"data.{split}_share, or set it to 0 to go without."
    )
