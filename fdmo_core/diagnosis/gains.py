"""What one set of predictions gains over another on the same rows, with an interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fdmo_core.averages import average_class_accuracy, geometric_mean
from fdmo_core.intervals import percentile_interval

SAMPLES = 2000
CONFIDENCE = 0.95
Interval = tuple[float, float]


@dataclass(frozen=True)
class Gain:
    """The paired difference of two sets of predictions, as fractions.

    Attributes:
        acsa: Gain in average class-specific accuracy.
        acsa_interval: Bootstrap interval of it.
        geometric_mean: Gain in the geometric mean of the recalls.
        geometric_mean_interval: Bootstrap interval of it.
    """

    acsa: float
    acsa_interval: Interval
    geometric_mean: float
    geometric_mean_interval: Interval


def measure_gain(
    before: Tensor, after: Tensor, labels: Tensor, *, rng: np.random.Generator
) -> Gain:
    """Return what the second set of predictions gains over the first.

    Rows are resampled within their class, both predictions of a row together. The interval shows
    the chance of these rows, not that of training again. A class of few rows on which both agree
    resamples to no difference, so with few rows the interval is too narrow.

    Source: Efron 1979, paired and stratified by class.

    Args:
        before: Predicted classes. Shape ``(N,)``, int64.
        after: Predicted classes. Shape ``(N,)``, int64.
        labels: True classes, of at least one row. Shape ``(N,)``, int64.
        rng: Source of randomness.
    """
    cells = _cells((before == labels).numpy(), (after == labels).numpy(), labels.numpy())
    first, second = _recalls(cells)
    drawn_first, drawn_second = _recalls(_resampled(cells, rng))
    acsa = average_class_accuracy(drawn_second) - average_class_accuracy(drawn_first)
    means = geometric_mean(drawn_second) - geometric_mean(drawn_first)
    return Gain(
        float(average_class_accuracy(second) - average_class_accuracy(first)),
        percentile_interval(acsa, confidence=CONFIDENCE),
        float(geometric_mean(second) - geometric_mean(first)),
        percentile_interval(means, confidence=CONFIDENCE),
    )


def _cells(
    before: NDArray[np.bool_], after: NDArray[np.bool_], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count each present class's rows by who is right: none, second, first, both. ``(C, 4)``."""
    kinds = 2 * before.astype(np.int64) + after
    present = np.unique(labels)
    return np.stack([np.bincount(kinds[labels == label], minlength=4) for label in present])


def _recalls(cells: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the recalls of both sets of predictions, ``(..., C)`` of ``(..., C, 4)``."""
    totals = cells.sum(axis=-1)
    return (cells[..., 2] + cells[..., 3]) / totals, (cells[..., 1] + cells[..., 3]) / totals


def _resampled(cells: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw each class's rows with replacement. ``(R, C, 4)``."""
    drawn = [rng.multinomial(one.sum(), one / one.sum(), size=SAMPLES) for one in cells]
    return np.stack(drawn, axis=1)
