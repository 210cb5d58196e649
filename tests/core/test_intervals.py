import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fdmo_core.intervals import bootstrap_recalls, percentile_interval, wilson_interval


def wilson(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    bounds = wilson_interval(np.array([correct]), np.array([total]), confidence=confidence)
    return float(bounds[0, 0]), float(bounds[0, 1])


def resample(
    correct: list[int], totals: list[int], *, samples: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    return bootstrap_recalls(
        np.array(correct), np.array(totals), samples=samples, rng=np.random.default_rng(seed)
    )


@pytest.mark.parametrize(("correct", "total"), [(1, 10), (7, 17), (99, 100), (3, 4), (250, 1000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_wilson_bounds_solve_the_quadratic(correct: int, total: int, confidence: float) -> None:
    z = NormalDist().inv_cdf((1 + confidence) / 2)

    # (correct - total p)^2 = z^2 total p (1 - p), as a polynomial in p
    coefficients = [total**2 + z**2 * total, -2 * correct * total - z**2 * total, correct**2]
    expected = sorted(np.roots(coefficients))

    assert wilson(correct, total, confidence) == pytest.approx(expected, rel=1e-9)


def test_wilson_matches_a_published_value() -> None:
    # Newcombe 1998, score method: 81 of 263
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@given(st.integers(1, 10**9))
def test_wilson_is_exact_at_both_ends_and_never_empty(total: int) -> None:
    z = NormalDist().inv_cdf(0.975)

    lower, upper = wilson(0, total)
    assert lower == 0
    assert upper == pytest.approx(z**2 / (total + z**2), rel=1e-6)

    lower, upper = wilson(total, total)
    assert upper == 1
    assert lower == pytest.approx(total / (total + z**2), rel=1e-12)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_recall_and_mirrors_with_it(case: tuple[int, int]) -> None:
    correct, total = case

    lower, upper = wilson(correct, total)
    mirrored = wilson(total - correct, total)

    assert 0 <= lower <= correct / total <= upper <= 1
    assert (1 - upper, 1 - lower) == pytest.approx(mirrored, abs=1e-12)


def test_resampled_recalls_vary_as_drawing_the_test_images_again_does() -> None:
    truth = np.array([1] * 6 + [0] * 14)
    rng = np.random.default_rng(1)

    drawn = resample([6], [20], samples=20_000)[:, 0]
    looped = [float(rng.choice(truth, size=20).mean()) for _ in range(20_000)]

    # Standard error of both means is 0.0007 and of both deviations 0.0005.
    assert drawn.mean() == pytest.approx(np.mean(looped), abs=0.005)
    assert drawn.std() == pytest.approx(np.std(looped), abs=0.003)
    assert drawn.std() == pytest.approx(math.sqrt(0.3 * 0.7 / 20), abs=0.003)


def test_classes_with_no_or_only_correct_samples_resample_to_themselves() -> None:
    drawn = resample([0, 9], [5, 9])

    assert (drawn == [0, 1]).all()


def test_resamples_follow_the_seed_and_not_the_order_of_the_classes() -> None:
    drawn = resample([3, 5, 1], [9, 9, 4])

    assert np.array_equal(drawn, resample([1, 5, 3], [4, 9, 9]))
    assert not np.array_equal(drawn, resample([3, 5, 1], [9, 9, 4], seed=1))


def test_the_percentile_interval_cuts_the_same_share_off_both_ends() -> None:
    values = np.arange(1001) / 1000

    assert percentile_interval(values, confidence=0.9) == pytest.approx((0.05, 0.95))


def test_bootstrap_intervals_of_the_mean_recall_cover_the_truth_as_often_as_they_say() -> None:
    recalls, totals = np.linspace(0.5, 0.95, 10), np.full(10, 100)
    rng = np.random.default_rng(0)

    covered = 0
    for _ in range(400):
        correct = rng.binomial(totals, recalls)
        drawn = bootstrap_recalls(correct, totals, samples=400, rng=rng)
        lower, upper = percentile_interval(drawn.mean(axis=1), confidence=0.95)
        covered += lower <= recalls.mean() <= upper

    assert 0.91 <= covered / 400 <= 0.98  # 0.95 with a standard error of 0.011
