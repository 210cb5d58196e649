"""Confidence intervals of recalls, and of figures that are computed from many recalls."""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray


def wilson_interval(
    correct: NDArray[np.int64], totals: NDArray[np.int64], *, confidence: float
) -> NDArray[np.float64]:
    """Return the Wilson score interval of each proportion ``correct / totals``.

    It stays inside [0, 1] and has a width even where all or none are correct.

    Source: Wilson 1927. The bounds are the roots p of
    ``(correct - totals * p)**2 = z**2 * totals * p * (1 - p)``.

    Args:
        correct: Successes, from 0 to ``totals``. Shape ``(C,)``.
        totals: Trials, each at least 1. Shape ``(C,)``.
        confidence: Probability with which an interval should cover the truth, in (0, 1).

    Returns:
        Lower and upper bounds. Shape ``(C, 2)``; exactly 0 and 1 at the ends of the scale.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    lower = _wilson_lower(correct, totals, z)
    upper = 1 - _wilson_lower(totals - correct, totals, z)
    return np.stack([lower, upper], axis=1)


def _wilson_lower(
    correct: NDArray[np.int64], totals: NDArray[np.int64], z: float
) -> NDArray[np.float64]:
    # The smaller root as the product of both over the larger one, which cancels no digits near 0.
    spread = np.sqrt(correct * (1 - correct / totals) + z**2 / 4)
    lower: NDArray[np.float64] = correct * (correct / totals) / (correct + z**2 / 2 + z * spread)
    return lower


def bootstrap_recalls(
    correct: NDArray[np.int64],
    totals: NDArray[np.int64],
    *,
    samples: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the recalls that resampled test sets of the same make-up would give.

    To draw a class's test samples with replacement is to draw its correct ones from
    Binomial(total, recall). The resamples are conditional on the trained model and on the size of
    each class in the test set: they show the chance of the test images and no other, not that of
    training again.

    A class with recall 0 or 1 resamples to itself, and a class of n samples has only
    ``(n - 1) / n`` of the variance it should have; for one class at a time, read
    :func:`wilson_interval`. The geometric mean of resamples is biased low, since its logarithm is
    concave and any class may fall to 0. In simulations of 10 classes with recalls from 0.5 to
    0.95, a 95 % percentile interval covered the true ACSA / geometric mean in 94 / 94 % of cases
    with 100 samples per class, in 93 / 90 % with 10 and in 91 / 85 % with 5; with 46 classes of
    20 samples and recalls from 0.3 to 0.95, in 94 / 70 %.

    Source: Efron 1979, stratified by class.

    Args:
        correct: Successes, from 0 to ``totals``. Shape ``(C,)``.
        totals: Trials, each at least 1. Shape ``(C,)``.
        samples: R, how many test sets to draw.
        rng: Source of randomness.

    Returns:
        Recalls, their columns ordered by size and recall, so that the order in which the classes
        come has no influence. Shape ``(R, C)``.
    """
    order = np.lexsort((correct, totals))
    drawn = rng.binomial(totals[order], (correct / totals)[order], size=(samples, len(order)))
    recalls: NDArray[np.float64] = drawn / totals[order]
    return recalls


def percentile_interval(values: NDArray[np.float64], *, confidence: float) -> tuple[float, float]:
    """Return the central interval that holds ``confidence`` of the values.

    Source: Efron 1979, percentile method.

    Args:
        values: A figure of each resample. Shape ``(R,)``.
        confidence: In (0, 1).
    """
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(values, [tail, 1 - tail])
    return float(lower), float(upper)
