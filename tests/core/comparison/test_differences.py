"""The difference in ACSA: its variance, its p-value, and what it would take to see it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]

from fdmo_core.comparison.differences import compare_pair
from fdmo_core.comparison.pairs import Pair

LABELS = np.repeat([0, 1, 3], [40, 25, 6])


def some_pair(*, seeds: int = 3, same_images: bool = True, gain: float = 0.1) -> Pair:
    rng = np.random.default_rng(5)
    theirs = [rng.uniform(size=len(LABELS)) < 0.6 for _ in range(seeds)]
    ours = [one | (rng.uniform(size=len(LABELS)) < gain) for one in theirs]
    return Pair(ours, theirs, [LABELS] * seeds, num_classes=4, same_images=same_images)


def acsa(correct: NDArray[np.bool_]) -> float:
    return sum(float(correct[one == LABELS].mean()) for one in (0, 1, 3)) / 3


def by_seed(pair: Pair) -> list[float]:
    return [acsa(a) - acsa(b) for a, b in zip(pair.ours, pair.theirs, strict=True)]


def test_the_mean_is_over_seeds_of_the_difference_in_acsa() -> None:
    pair = some_pair()

    assert compare_pair(pair).mean == pytest.approx(np.mean(by_seed(pair)))


def test_the_seeds_part_is_their_variance_over_their_number() -> None:
    pair = some_pair()

    assert compare_pair(pair).seed_variance == pytest.approx(np.var(by_seed(pair), ddof=1) / 3)


def test_the_images_part_is_that_of_stratified_sampling_with_two_images_added() -> None:
    pair = some_pair()
    gains = [
        sum(float(a[at]) - float(b[at]) for a, b in zip(pair.ours, pair.theirs, strict=True)) / 3
        for at in range(len(LABELS))
    ]
    expected = 0.0
    for label in (0, 1, 3):
        of_class = [gains[at] for at in range(len(LABELS)) if LABELS[at] == label]
        weights = [1.0] * len(of_class) + [0.5] * 4  # half an image for each outcome of a pair
        outcomes = [*of_class, 1.0, -1.0, 0.0, 0.0]
        mean = float(np.average(outcomes, weights=weights))
        squares = [(one - mean) ** 2 for one in outcomes]
        expected += float(np.average(squares, weights=weights)) / len(of_class) / 9

    found = compare_pair(pair)

    assert found.image_variance == pytest.approx(expected)
    assert found.variance == pytest.approx(expected + (found.seed_variance or 0))


def test_seeds_with_images_of_their_own_hold_both_chances() -> None:
    found = compare_pair(some_pair(same_images=False))

    assert found.variance == found.seed_variance
    assert found.class_sizes.tolist() == [120, 75, 0, 18]


def test_one_seed_leaves_the_images_part_and_a_normal_statistic() -> None:
    found = compare_pair(some_pair(seeds=1))

    assert found.seed_variance is None
    statistic = found.mean / math.sqrt(found.image_variance)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(statistic)))


def test_the_p_value_is_student_s_where_the_images_part_is_nothing() -> None:
    pair = some_pair(same_images=False)

    found = compare_pair(pair)

    assert found.p_value == pytest.approx(stats.ttest_1samp(by_seed(pair), 0).pvalue)


def test_degrees_of_freedom_grow_with_the_images_part() -> None:
    found = replace(compare_pair(some_pair()), seed_variance=1e-4, image_variance=3e-4, mean=0.05)

    expected = 2 * stats.t.sf(0.05 / math.sqrt(4e-4), 2 * 4**2)

    assert found.p_value == pytest.approx(expected)


def test_no_difference_has_a_p_value_of_1() -> None:
    pair = some_pair(gain=0.0)

    found = compare_pair(pair)

    assert found.p_value == 1


def test_classes_on_whose_few_images_both_agree_are_not_taken_for_certain() -> None:
    found = compare_pair(some_pair(gain=0.0))

    assert found.image_variance > 0


def test_under_no_difference_p_values_below_5_percent_are_not_more_than_5_percent() -> None:
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(300):
        theirs = [rng.uniform(size=len(LABELS)) < 0.7 for _ in range(4)]
        ours = [rng.uniform(size=len(LABELS)) < 0.7 for _ in range(4)]
        pair = Pair(ours, theirs, [LABELS] * 4, num_classes=4, same_images=True)
        rejected += compare_pair(pair).p_value < 0.05

    assert rejected <= 0.08 * 300
