"""How fast something answers batches: several ways in turn, so that all meet the same machine."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

WARM_UPS = 2  # rounds that are not counted: memory is laid out, TensorRT builds its engine
FEWEST_ROUNDS = 5
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Timing:
    """How long batches of one size took.

    Attributes:
        batch_size: Samples in each.
        seconds: Of each batch, in the order in which they ran. Shape ``(R,)``, float64.
    """

    batch_size: int
    seconds: NDArray[np.float64]

    @property
    def samples_per_second(self) -> float:
        """Throughput of one caller who waits for each batch."""
        return self.batch_size * len(self.seconds) / float(self.seconds.sum())

    def percentile(self, percent: float) -> float:
        """Return the seconds that so many percent of the batches did not exceed.

        They are the seconds of a batch that ran, never a number in between.
        """
        return float(np.percentile(self.seconds, percent, method="inverted_cdf"))

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data, latencies in seconds."""
        return {
            "batch_size": self.batch_size,
            "batches": len(self.seconds),
            "samples_per_second": self.samples_per_second,
            **{f"p{percent}": self.percentile(percent) for percent in PERCENTILES},
        }


def time_in_turn(
    actions: Mapping[str, Callable[[], object]], *, batch_size: int, seconds: float
) -> dict[str, Timing]:
    """Return how long each action takes; round by round, each runs once.

    Args:
        actions: Each answers one batch; by name, at least one.
        batch_size: Samples of a batch.
        seconds: How long to go on, for each action; never less than five rounds.
    """
    rounds: list[list[float]] = []
    for _ in range(WARM_UPS):
        _round(actions)
    end = time.perf_counter() + seconds * len(actions)
    while len(rounds) < FEWEST_ROUNDS or time.perf_counter() < end:
        rounds.append(_round(actions))
    columns = np.array(rounds).T  # (A, R)
    return {name: Timing(batch_size, column) for name, column in zip(actions, columns, strict=True)}


def _round(actions: Mapping[str, Callable[[], object]]) -> list[float]:
    times = []
    for action in actions.values():
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return times
