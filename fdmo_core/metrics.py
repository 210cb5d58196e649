"""Turns one integer confusion matrix into every figure that a run reports, with intervals."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from fdmo_core.averages import average_class_accuracy, geometric_mean
from fdmo_core.confusion import Tally
from fdmo_core.errors import DataError, ShapeError
from fdmo_core.intervals import bootstrap_recalls, percentile_interval, wilson_interval
from fdmo_core.settings import Settings
from fdmo_core.shot_groups import ShotGroups, bottom_quarter, by_thresholds, thirds

Interval = tuple[float, float]


class MetricsConfig(Settings):
    """What the metrics leave open."""

    top_k: int = Field(
        default=5, ge=1, description="Best classes that may hold the true one; clipped to C."
    )
    shot_groups: Literal["thirds", "thresholds"] = Field(
        default="thirds",
        description="Many, medium and few: thirds of the classes, or by many_above and few_below.",
    )
    many_above: int = Field(
        default=100, ge=0, description="With thresholds: more training images than this are many."
    )
    few_below: int = Field(
        default=20, ge=0, description="With thresholds: fewer training images than this are few."
    )
    gm_eps: float = Field(
        default=1e-3, gt=0, lt=1, description="Least recall that geometric_mean_eps counts."
    )
    bootstrap_samples: int = Field(
        default=1000, ge=100, le=100_000, description="Resampled test sets behind an interval."
    )
    confidence: float = Field(
        default=0.95, gt=0, lt=1, description="Confidence of every reported interval."
    )

    @model_validator(mode="after")
    def _groups_do_not_overlap(self) -> Self:
        if self.few_below > self.many_above:
            raise ValueError(
                f"few_below = {self.few_below} is above many_above = {self.many_above}. Expected "
                "at most many_above, or a class could be in both groups. Lower few_below."
            )
        return self


class ClassResult(BaseModel):
    """How one class fared.

    Attributes:
        train: Training images.
        test: Evaluated images, at least 1.
        correct: Evaluated images that were predicted as this class.
        recall: ``correct / test``.
        interval: Wilson interval of the recall.
    """

    model_config = ConfigDict(frozen=True)

    train: int
    test: int
    correct: int
    recall: float
    interval: Interval


class MetricsReport(BaseModel):
    """Every figure of one evaluation; all are fractions, none is a percentage.

    A class with no sample in the split has no recall. It is named in ``absent_classes`` and left
    out of all else. The intervals of ``acsa`` and ``geometric_mean`` are percentiles of
    :func:`~fdmo_core.intervals.bootstrap_recalls`, whose limits are theirs.

    Attributes:
        samples: Evaluated images.
        classes_present: Classes with at least one of them.
        top1: Share of the samples whose class ranks first.
        top_k: k of the next figure; :meth:`as_dict` makes it part of the name, as in ``top5``.
        top_k_accuracy: Share of the samples whose class is among the best k.
        acsa: Average class-specific accuracy.
        acsa_interval: Bootstrap interval of it.
        geometric_mean: Of the recalls; 0 as soon as one recall is.
        geometric_mean_interval: Bootstrap interval of it, 0 to 0 where a recall is 0; too low
            where classes have few images.
        geometric_mean_eps: The same with recalls below ``gm_eps`` raised to it.
        zero_recall_classes: Present classes of which no sample was recognised.
        shot_groups: How the next three groups are made.
        many: Mean recall of the present classes with many training images; None if none is.
        medium: The same of the classes between.
        few: The same of the classes with few training images.
        bottom_quarter: The same of the rarest quarter of all classes.
        absent_classes: Classes without a sample in the split.
        confidence: Of every interval here.
        classes: The present classes by name, in label order.
    """

    model_config = ConfigDict(frozen=True)

    samples: int
    classes_present: int
    top1: float
    top_k: int
    top_k_accuracy: float
    acsa: float
    acsa_interval: Interval
    geometric_mean: float
    geometric_mean_interval: Interval
    geometric_mean_eps: float
    zero_recall_classes: tuple[str, ...]
    shot_groups: str
    many: float | None
    medium: float | None
    few: float | None
    bottom_quarter: float | None
    absent_classes: tuple[str, ...]
    confidence: float
    classes: dict[str, ClassResult]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON knows them, with ``top5`` (or whatever k is) as a key."""
        renamed = {"top_k_accuracy": f"top{self.top_k}"}
        values = self.model_dump(mode="json", exclude={"top_k"})
        return {renamed.get(name, name): value for name, value in values.items()}


def summarize(
    tally: Tally,
    *,
    class_names: Sequence[str],
    train_counts: NDArray[np.int64],
    config: MetricsConfig,
    rng_seed: int,
) -> MetricsReport:
    """Return every figure of the evaluated samples.

    Args:
        tally: What was counted; it knows its own ``top_k``.
        class_names: C names in label order, each different.
        train_counts: Training images per class, which order the classes. Shape ``(C,)``.
        config: Groups, intervals and the floor of the geometric mean.
        rng_seed: Seed of the bootstrap.

    Raises:
        DataError: The tally holds no samples.
        ShapeError: Names, counts and tally differ in the number of classes.
    """
    _check(tally, class_names, train_counts)
    totals, correct = tally.totals.numpy(), tally.correct.numpy()
    present = totals > 0
    recalls = np.full(len(totals), np.nan)
    recalls[present] = correct[present] / totals[present]
    known = recalls[present]
    drawn = bootstrap_recalls(
        correct[present],
        totals[present],
        samples=config.bootstrap_samples,
        rng=np.random.default_rng(rng_seed),
    )
    groups = _groups(train_counts, config)
    level = config.confidence
    return MetricsReport(
        samples=int(totals.sum()),
        classes_present=len(known),
        top1=float(correct.sum() / totals.sum()),
        top_k=tally.top_k,
        top_k_accuracy=float(tally.hits.sum() / totals.sum()),
        acsa=float(average_class_accuracy(known)),
        acsa_interval=percentile_interval(average_class_accuracy(drawn), confidence=level),
        geometric_mean=float(geometric_mean(known)),
        geometric_mean_interval=percentile_interval(geometric_mean(drawn), confidence=level),
        geometric_mean_eps=float(geometric_mean(known, floor=config.gm_eps)),
        zero_recall_classes=_named(class_names, recalls == 0),
        shot_groups=config.shot_groups,
        many=_mean_known(recalls[groups.many]),
        medium=_mean_known(recalls[groups.medium]),
        few=_mean_known(recalls[groups.few]),
        bottom_quarter=_mean_known(recalls[bottom_quarter(train_counts)]),
        absent_classes=_named(class_names, ~present),
        confidence=level,
        classes=_class_results(correct, totals, train_counts, class_names, confidence=level),
    )


def _check(tally: Tally, class_names: Sequence[str], train_counts: NDArray[np.int64]) -> None:
    sizes = (tally.num_classes, len(class_names), len(train_counts))
    if len(set(sizes)) > 1:
        raise ShapeError(
            f"The tally has {sizes[0]} classes, with {sizes[1]} names and {sizes[2]} training "
            "counts. Expected the same of each. Take all three from the run's training split."
        )
    if not tally.matrix.any():
        raise DataError(
            "The evaluated split holds no samples. Expected at least one labelled image. Evaluate "
            "another split, or give this one images."
        )


def _groups(train_counts: NDArray[np.int64], config: MetricsConfig) -> ShotGroups:
    if config.shot_groups == "thirds":
        return thirds(train_counts)
    return by_thresholds(train_counts, many_above=config.many_above, few_below=config.few_below)


def _mean_known(recalls: NDArray[np.float64]) -> float | None:
    known = recalls[~np.isnan(recalls)]
    return float(known.mean()) if len(known) else None


def _named(class_names: Sequence[str], chosen: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(name for name, is_chosen in zip(class_names, chosen, strict=True) if is_chosen)


def _class_results(
    correct: NDArray[np.int64],
    totals: NDArray[np.int64],
    train_counts: NDArray[np.int64],
    class_names: Sequence[str],
    *,
    confidence: float,
) -> dict[str, ClassResult]:
    present = np.flatnonzero(totals)
    bounds = wilson_interval(correct[present], totals[present], confidence=confidence)
    return {
        class_names[index]: ClassResult(
            train=int(train_counts[index]),
            test=int(totals[index]),
            correct=int(correct[index]),
            recall=float(correct[index] / totals[index]),
            interval=(lower, upper),
        )
        for index, (lower, upper) in zip(present.tolist(), bounds.tolist(), strict=True)
    }
