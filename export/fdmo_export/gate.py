"""The gate of a lower precision: what it costs on validation images, and how much it may."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fdmo_core.comparison.paired_bootstrap import resample_metrics
from fdmo_core.intervals import percentile_interval
from fdmo_core.settings import Settings
from fdmo_core.shot_groups import thirds

CONFIDENCE = 0.95
RESAMPLES = 1000
SEED = 0  # of the bootstrap: the same answers have the same intervals
DIGITS = 9  # behind them one image in a hundred is not quite 0.01


class GateLimits(Settings):
    """How much a lower precision may cost on validation images; shares, not percentages."""

    max_drop: float = Field(
        default=0.01, ge=0, le=1, description="Of top-1 and of ACSA, against fp32."
    )
    max_few_shot_drop: float = Field(
        default=0.02, ge=0, le=1, description="Of the mean recall of the rarest third of classes."
    )


@dataclass(frozen=True)
class Drop:
    """How much lower a figure is than at fp32.

    Attributes:
        value: Below 0 where it is higher.
        interval: Of 95 %; by the chance of the images.
        limit: The most that passes.
    """

    value: float
    interval: tuple[float, float]
    limit: float

    @property
    def passes(self) -> bool:
        """Whether the drop, not the end of its interval, is within the limit."""
        return round(self.value - self.limit, DIGITS) <= 0


@dataclass(frozen=True)
class Gate:
    """What a precision costs on validation images.

    Attributes:
        images: How many.
        flips: On how many of them the best class differs.
        drops: Of ``top1``, ``acsa`` and ``few_shot``; the last is missing where no validation image
            is of a rare class.
    """

    images: int
    flips: int
    drops: dict[str, Drop]

    @property
    def passes(self) -> bool:
        """Whether every drop is within its limit."""
        return all(one.passes for one in self.drops.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Yield the figures, a line each."""
        yield f"{self.flips} of {self.images} validation images change their class"
        for name, one in self.drops.items():
            low, high = one.interval
            yield (
                f"{name} drops by {one.value:+.4f} [{low:+.4f}, {high:+.4f}], limit "
                f"{one.limit:.4f}{'' if one.passes else ': too much'}"
            )


def judge(
    exact: NDArray[np.float32],
    lower: NDArray[np.float32],
    labels: NDArray[np.int64],
    train_counts: NDArray[np.int64],
    limits: GateLimits,
) -> Gate:
    """Return what a lower precision costs on the same images.

    The limits hold for the drops themselves: with few images an interval is wide whatever the
    precision does. It is of the difference on the same resampled images, within each class.

    Args:
        exact: Logits at fp32. Shape ``(N, C)``, N at least 1.
        lower: Logits at the lower precision. Shape ``(N, C)``; a row with NaN is wrong.
        labels: Shape ``(N,)``.
        train_counts: Training images per class. Shape ``(C,)``.
        limits: What may be lost.
    """
    broken = np.isnan(lower).any(axis=1)
    answers = np.stack([exact.argmax(axis=1), np.where(broken, -1, lower.argmax(axis=1))])
    correct = answers == labels
    is_few = np.isin(labels, thirds(train_counts).few)
    drops = {name: _drop(correct, labels, name, limits.max_drop) for name in ("top1", "acsa")}
    if is_few.any():
        few = correct[:, is_few], labels[is_few]
        drops["few_shot"] = _drop(*few, "acsa", limits.max_few_shot_drop)
    return Gate(len(labels), int((answers[0] != answers[1]).sum()), drops)


def _drop(correct: NDArray[np.bool_], labels: NDArray[np.int64], metric: str, limit: float) -> Drop:
    drawn = resample_metrics(correct, labels, samples=RESAMPLES, rng=np.random.default_rng(SEED))[
        metric
    ]
    recalls = np.stack([correct[:, labels == one].mean(axis=1) for one in np.unique(labels)])
    figures = correct.mean(axis=1) if metric == "top1" else recalls.mean(axis=0)
    interval = percentile_interval(drawn[:, 0] - drawn[:, 1], confidence=CONFIDENCE)
    return Drop(float(figures[0] - figures[1]), interval, limit)
