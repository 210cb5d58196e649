"""Groups classes by how many training images they have: many, medium, few, bottom quarter."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class ShotGroups(NamedTuple):
    """Class indices of three groups that together hold every class once; each may be empty."""

    many: NDArray[np.int64]
    medium: NDArray[np.int64]
    few: NDArray[np.int64]


def rarest_first(train_counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the class indices by rising training count, ties in class order. Shape ``(C,)``."""
    return np.argsort(train_counts, kind="stable")


def thirds(train_counts: NDArray[np.int64]) -> ShotGroups:
    """Return the classes in three groups whose sizes differ by at most one.

    The rarest third is few, the most frequent third many. Where C does not divide by three, few
    has one class more, and then many: 10 classes make 4 few, 3 medium and 3 many; 2 classes make
    1 few and 1 many.

    Args:
        train_counts: Training images per class. Shape ``(C,)``.
    """
    order = rarest_first(train_counts)
    num_few = (len(order) + 2) // 3
    num_medium = len(order) // 3
    few, medium, many = np.split(order, [num_few, num_few + num_medium])
    return ShotGroups(many=many, medium=medium, few=few)


def by_thresholds(
    train_counts: NDArray[np.int64], *, many_above: int, few_below: int
) -> ShotGroups:
    """Return the classes by the size of their training set.

    Source: Liu et al. 2019, with more than 100 images as many and fewer than 20 as few.

    Args:
        train_counts: Training images per class. Shape ``(C,)``.
        many_above: A class with more images than this is in many.
        few_below: A class with fewer images than this is in few; at most ``many_above``.
    """
    many, few = train_counts > many_above, train_counts < few_below
    return ShotGroups(
        many=np.flatnonzero(many),
        medium=np.flatnonzero(~many & ~few),
        few=np.flatnonzero(few),
    )


def bottom_quarter(train_counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rarest quarter of the classes, rounded up.

    Source: Fig. 2 of the paper, "bottom 25% of all classes" by count of data.

    Args:
        train_counts: Training images per class. Shape ``(C,)``.
    """
    return rarest_first(train_counts)[: (len(train_counts) + 3) // 4]
