"""Intervals of differences from resampled test sets and seeds, the same for all methods."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from fdmo_core.averages import average_class_accuracy, geometric_mean
from fdmo_core.comparison.pairs import Correct, Labels

Values = NDArray[np.float64]
Metric = Callable[[Values, Values], Values]  # recalls (..., C), shares of the classes (C,)

METRICS: Mapping[str, Metric] = {
    "top1": lambda recalls, shares: recalls @ shares,
    "acsa": lambda recalls, _: average_class_accuracy(recalls),
    "geometric_mean": lambda recalls, _: geometric_mean(recalls),
}
DRAWN_AT_ONCE = 200  # resampled test sets; bounds the memory


def resample_metrics(
    correct: Correct, labels: Labels, *, samples: int, rng: np.random.Generator
) -> dict[str, Values]:
    """Return the metrics of many classifiers on the same resampled test sets.

    Each set is drawn with replacement within each class, so that it has the make-up of the test
    set, and all classifiers see the same ones: what differs between two is paired.

    Source: Efron 1979, stratified by class.

    Args:
        correct: Whether each of K classifiers recognises each image. Shape ``(K, N)``.
        labels: Of the images. Shape ``(N,)``.
        samples: R, how many test sets to draw.
        rng: Source of randomness.

    Returns:
        By metric, each of shape ``(R, K)``.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    shares = sizes / sizes.sum()
    of_class = [np.ascontiguousarray(correct[:, labels == one].T, np.float32) for one in classes]
    parts: dict[str, list[Values]] = {name: [] for name in METRICS}
    for number in _portions(samples):
        recalls = np.stack([_recalls(one, number, rng) for one in of_class], axis=-1)  # (R, K, C)
        for name, metric in METRICS.items():
            parts[name].append(metric(recalls, shares))
    return {name: np.concatenate(one) for name, one in parts.items()}


def _portions(samples: int) -> Iterator[int]:
    for start in range(0, samples, DRAWN_AT_ONCE):
        yield min(DRAWN_AT_ONCE, samples - start)


def _recalls(correct: NDArray[np.float32], number: int, rng: np.random.Generator) -> Values:
    """Return the recalls of one class; ``correct`` has shape ``(N, K)``. Shape ``(R, K)``."""
    size = len(correct)
    times = rng.multinomial(size, np.full(size, 1 / size), number).astype(np.float32)
    recalls: Values = (times @ correct).astype(np.float64) / size
    return recalls


def resample_seeds(differences: Values, rng: np.random.Generator) -> Values:
    """Return the mean differences of resampled seeds, a draw for each resampled test set.

    With S seeds the drawn ones have only ``(S - 1) / S`` of the variance that they should have;
    with one seed the result shows the chance of the test images alone.

    Args:
        differences: Of a metric, for each resampled test set and seed. Shape ``(R, S)``.
        rng: Source of randomness.

    Returns:
        Shape ``(R,)``.
    """
    chosen = rng.integers(differences.shape[1], size=differences.shape)
    return np.asarray(np.take_along_axis(differences, chosen, axis=1).mean(axis=1))
