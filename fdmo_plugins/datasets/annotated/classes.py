"""Which classes a data set keeps: those with something to train on."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fdmo_core import DataError
from fdmo_plugins.datasets.layout import SPLITS

LEFT_OUT = -1  # in place of a label or of the index of a split


class KeptClasses(NamedTuple):
    """The classes of a run.

    Attributes:
        names: In label order.
        new_labels: Label of each listed category, or ``LEFT_OUT``. Shape ``(number of
            categories,)``, int64.
        dropped: Why categories were left out, by ``"category NAME"``.
    """

    names: tuple[str, ...]
    new_labels: NDArray[np.int64]
    dropped: dict[str, str]


def kept_classes(
    names: tuple[str, ...],
    labels: NDArray[np.int64],
    splits: NDArray[np.int8],
    *,
    keep_empty: bool = False,
) -> KeptClasses:
    """Return the categories that have an item to train with, in their order.

    Args:
        names: Of all categories.
        labels: Index of each item's category. Shape ``(N,)``.
        splits: Index in train, val, test, or ``LEFT_OUT``. Shape ``(N,)``.
        keep_empty: Whether the others are kept too.

    Raises:
        DataError: Fewer than two have one.
    """
    counts = [np.bincount(labels[splits == at], minlength=len(names)) for at in range(len(SPLITS))]
    has_training = counts[0] > 0
    if has_training.sum() < 2:
        found = [name for name, has in zip(names, has_training, strict=True) if has]
        raise DataError(
            f"The training split has usable images of {len(found)} categories: "
            f"{', '.join(found)}. Expected at least 2. Check that all archives were unpacked."
        )
    is_kept = has_training | keep_empty
    dropped = {}
    for at in np.flatnonzero(~is_kept).tolist():
        others = int(counts[1][at] + counts[2][at])
        dropped[f"category {names[at]}"] = (
            "The category has no usable training image and was left out"
            + (f", with its {others} image(s) of other splits." if others else ".")
        )
    return KeptClasses(
        names=tuple(name for name, kept in zip(names, is_kept, strict=True) if kept),
        new_labels=np.where(is_kept, np.cumsum(is_kept) - 1, LEFT_OUT),
        dropped=dropped,
    )
