"""Who is right where, and McNemar's test."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]

from fdmo_core.comparison.pairs import Pair, mcnemar


def correct(text: str) -> NDArray[np.bool_]:
    return np.array([one == "+" for one in text])


def pair(ours: list[str], theirs: list[str], *, same_images: bool = True) -> Pair:
    labels = [np.arange(len(one)) % 2 for one in ours]
    return Pair(list(map(correct, ours)), list(map(correct, theirs)), labels, 2, same_images)


def test_the_gain_of_an_image_is_the_mean_over_seeds_that_see_the_same_images() -> None:
    gains, labels = pair(["++--", "+--+"], ["+-+-", "--+-"]).gains()

    assert gains.tolist() == [0.5, 0.5, -1.0, 0.5]
    assert labels.tolist() == [0, 1, 0, 1]


def test_images_of_each_seed_s_own_are_units_by_themselves() -> None:
    gains, labels = pair(["++-", "+-"], ["+-+", "--"], same_images=False).gains()

    assert gains.tolist() == [0, 1, -1, 1, 0]
    assert labels.tolist() == [0, 1, 0, 0, 1]


def test_with_one_seed_it_is_mcnemar_s_test() -> None:
    ours, theirs = "+" * 9 + "-" * 2 + "+" * 20, "-" * 9 + "+" * 2 + "+" * 20
    exact = float(stats.binomtest(2, 11).pvalue)

    expected = exact - float(stats.binom.pmf(2, 11, 0.5))

    assert mcnemar(pair([ours], [theirs])) == pytest.approx(expected)


def test_seeds_that_agree_on_the_same_images_are_no_further_evidence() -> None:
    ours, theirs = "+" * 6 + "-", "-" * 6 + "+"

    once, five = pair([ours], [theirs]), pair([ours] * 5, [theirs] * 5)

    assert mcnemar(five) == mcnemar(once)
    assert mcnemar(pair([ours] * 5, [theirs] * 5, same_images=False)) < mcnemar(once)


def test_methods_that_are_right_on_the_same_images_are_alike() -> None:
    assert mcnemar(pair(["+-+"], ["+-+"])) == 1
