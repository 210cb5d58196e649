"""Averages of recalls that give every class the same say, however rare it is."""

import numpy as np
from numpy.typing import NDArray


def average_class_accuracy(recalls: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean recall over the last axis (ACSA, also called balanced accuracy).

    Source: Eq. (6) of the paper, over the classes that are present.

    Args:
        recalls: Shape ``(..., C)``.
    """
    return np.asarray(recalls.mean(axis=-1))


def geometric_mean(recalls: NDArray[np.float64], *, floor: float = 0.0) -> NDArray[np.float64]:
    """Return the geometric mean of the recalls over the last axis, exactly 0 if one of them is 0.

    It sums logarithms, since the product of Eq. (6) underflows from some hundred classes on.

    Source: Eq. (6) of the paper, over the classes that are present.

    Args:
        recalls: Shape ``(..., C)``.
        floor: Recalls below it count as it, so that one missed class does not hide the others.
    """
    with np.errstate(divide="ignore"):  # log(0) is -inf, and exp(-inf) is the 0 that is meant
        return np.asarray(np.exp(np.log(np.maximum(recalls, floor)).mean(axis=-1)))
