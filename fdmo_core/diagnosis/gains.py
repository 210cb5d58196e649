"""What one set of predictions gains over another on the same rows, with an interval."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from fdmo_core.averages import average_class_accuracy, geometric_mean
from fdmo_core.comparison.paired_bootstrap import resample_metrics
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
    correct = np.stack([(one == labels).numpy() for one in (before, after)])  # (2, N)
    known = labels.numpy()
    classes = np.unique(known)
    recalls = np.stack([correct[:, known == one].mean(axis=1) for one in classes], axis=1)
    drawn = resample_metrics(correct, known, samples=SAMPLES, rng=rng)
    acsa, means = (drawn[name][:, 1] - drawn[name][:, 0] for name in ("acsa", "geometric_mean"))
    return Gain(
        float(np.diff(average_class_accuracy(recalls))[0]),
        percentile_interval(acsa, confidence=CONFIDENCE),
        float(np.diff(geometric_mean(recalls))[0]),
        percentile_interval(means, confidence=CONFIDENCE),
    )
