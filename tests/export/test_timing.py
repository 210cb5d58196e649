"""Timings: what is counted, in which order, and the figures of it."""

import math
import time

import numpy as np
import pytest

from fdmo_export.timing import FEWEST_ROUNDS, WARM_UPS, Timing, time_in_turn


def plain_percentile(seconds: list[float], percent: float) -> float:
    """Return the smallest time that at least so many percent of all times do not exceed."""
    for candidate in sorted(seconds):
        within = sum(one <= candidate for one in seconds)
        if within * 100 >= percent * len(seconds):
            return candidate
    raise AssertionError


@pytest.mark.parametrize("count", [1, 2, 19, 20, 100, 101])
@pytest.mark.parametrize("percent", [50, 95, 99])
def test_a_percentile_is_a_time_that_was_measured(count: int, percent: int) -> None:
    seconds = np.random.default_rng(count).random(count)

    found = Timing(1, seconds).percentile(percent)

    assert found == plain_percentile(seconds.tolist(), percent)


def test_throughput_counts_samples_over_all_the_time() -> None:
    timing = Timing(8, np.array([0.5, 1.5]))

    assert math.isclose(timing.samples_per_second, 8.0)
    assert timing.as_dict() == {
        "batch_size": 8,
        "batches": 2,
        "samples_per_second": 8.0,
        "p50": 0.5,
        "p95": 1.5,
        "p99": 1.5,
    }


def test_actions_run_in_turn_and_warm_up_uncounted() -> None:
    order: list[str] = []

    timings = time_in_turn(
        {name: lambda name=name: order.append(name) for name in "ab"},  # type: ignore[misc]
        batch_size=3,
        seconds=0,
    )

    assert order == ["a", "b"] * (WARM_UPS + FEWEST_ROUNDS)
    assert timings.keys() == {"a", "b"}
    assert all(one.seconds.shape == (FEWEST_ROUNDS,) for one in timings.values())


def test_each_action_s_own_time_is_its_own() -> None:
    timings = time_in_turn(
        {"slow": lambda: time.sleep(0.01), "idle": lambda: None}, batch_size=1, seconds=0
    )

    assert (timings["slow"].seconds >= 0.01).all()
    assert timings["idle"].percentile(50) < timings["slow"].percentile(50)


def test_it_goes_on_until_the_time_is_over() -> None:
    start = time.perf_counter()

    timings = time_in_turn({"nap": lambda: time.sleep(0.005)}, batch_size=1, seconds=0.1)

    assert time.perf_counter() - start >= 0.1
    assert len(timings["nap"].seconds) > FEWEST_ROUNDS
