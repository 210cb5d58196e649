"""A figure with its interval: over seeds, where a run was repeated, else over the test images."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np

from fdmo_core.errors import ShapeError
from fdmo_core.intervals import wilson_interval

BISECTIONS = 60  # halve the angle below the precision of a float


@dataclass(frozen=True)
class Estimate:
    """What was measured of one figure.

    Attributes:
        mean: Over the runs.
        low, high: Bounds of the interval; None where there is none.
        num_runs: With more than one, the interval is Student's over the runs. With one it is that
            of the run's metrics: over the test images, not over training again.
    """

    mean: float
    low: float | None
    high: float | None
    num_runs: int


def estimate_metric(
    reports: Sequence[Mapping[str, Any]], metric: str, *, confidence: float
) -> Estimate:
    """Return the estimate of one metric from the reports of repeated runs.

    Args:
        reports: At least one, each as ``metrics.json`` holds one for a split and a classifier.
        metric: Such as ``"acsa"``.
        confidence: In (0, 1); of the interval over runs. A single report brings its own.
    """
    if len(reports) == 1:
        (report,) = reports
        return _of_one(report[metric], _own_interval(report, metric))
    return over_runs([report[metric] for report in reports], confidence=confidence)


def estimate_recall(
    reports: Sequence[Mapping[str, Any]], class_name: str, *, confidence: float
) -> Estimate:
    """Return the estimate of one class's recall; arguments as in :func:`estimate_metric`."""
    found = [report["classes"][class_name] for report in reports]
    if len(found) == 1:
        return _of_one(found[0]["recall"], found[0]["interval"])
    return over_runs([one["recall"] for one in found], confidence=confidence)


def over_runs(values: Sequence[float], *, confidence: float) -> Estimate:
    """Return the mean with Student's interval, which takes the runs for independent and normal.

    Source: Student 1908.

    Args:
        values: One a run, at least 2.
        confidence: In (0, 1).

    Raises:
        ShapeError: There is only one value.
    """
    if len(values) < 2:
        raise ShapeError(
            f"{len(values)} run(s) have no spread. Expected at least 2. Repeat the run with "
            f"another seed."
        )
    centre = mean(values)
    half = student_quantile((1 + confidence) / 2, len(values) - 1) * stdev(values)
    half /= math.sqrt(len(values))
    return Estimate(centre, centre - half, centre + half, num_runs=len(values))


def student_quantile(probability: float, degrees: int) -> float:
    """Return the value that Student's t stays below with a probability.

    Source: Abramowitz and Stegun 1964, Eqs. (26.7.3) and (26.7.4), solved by bisection.

    Args:
        probability: In [0.5, 1).
        degrees: Degrees of freedom, at least 1.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(BISECTIONS):
        angle = (low + high) / 2
        is_below = (1 + _central_probability(angle, degrees)) / 2 < probability
        low, high = (angle, high) if is_below else (low, angle)
    return math.tan(low) * math.sqrt(degrees)


def student_p_value(statistic: float, degrees: int) -> float:
    """Return how likely Student's t is at least so far from 0, on either side.

    Args:
        statistic: Of a test.
        degrees: Degrees of freedom, at least 1.
    """
    angle = math.atan(abs(statistic) / math.sqrt(degrees))
    return max(0.0, 1 - _central_probability(angle, degrees))


def _central_probability(angle: float, degrees: int) -> float:
    """Return how likely t is within plus or minus ``tan(angle) * sqrt(degrees)``."""
    cosine, is_odd = math.cos(angle), degrees % 2
    term = cosine if is_odd else 1.0
    total = 0.0
    for step in range(1 + is_odd, degrees, 2):
        total += term
        term *= cosine**2 * step / (step + 1)
    if is_odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total


def _of_one(value: float, interval: Sequence[float] | None) -> Estimate:
    low, high = interval or (None, None)
    return Estimate(value, low, high, num_runs=1)


def _own_interval(report: Mapping[str, Any], metric: str) -> Sequence[float] | None:
    """Return a report's own interval; that of the top-1 accuracy follows from its counts."""
    if metric == "top1":
        correct = sum(one["correct"] for one in report["classes"].values())
        bounds: list[float] = wilson_interval(
            np.array([correct]), np.array([report["samples"]]), confidence=report["confidence"]
        )[0].tolist()
        return bounds
    interval: list[float] | None = report.get(f"{metric}_interval")
    return interval
