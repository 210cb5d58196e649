"""Friedman's test and Nemenyi's critical difference, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from fdmo_core.comparison.ranks import groups_alike, rank_methods


def test_ranks_are_the_mean_over_runs_and_ties_share_theirs() -> None:
    figures = np.array([[0.9, 0.8, 0.8], [0.7, 0.9, 0.8]])

    found = rank_methods(figures, significance=0.05)

    assert found.mean_ranks.tolist() == [2.0, 1.75, 2.25]


@pytest.mark.parametrize("digits", [3, 1])
def test_the_p_value_is_scipy_s_with_and_without_ties(digits: int) -> None:
    figures = np.random.default_rng(3).uniform(size=(6, 5)).round(digits)

    found = rank_methods(figures, significance=0.05)

    assert found.p_value == pytest.approx(float(stats.friedmanchisquare(*figures.T).pvalue))


def test_methods_that_are_equal_everywhere_are_alike() -> None:
    found = rank_methods(np.full((4, 3), 0.5), significance=0.05)

    assert found.p_value == 1
    assert found.mean_ranks.tolist() == [2, 2, 2]


def test_the_critical_difference_is_nemenyi_s() -> None:
    """Demsar 2006, Sec. 3.2.4: 4 classifiers on 14 data sets, 2.569 * sqrt(4 * 5 / (6 * 14))."""
    figures = np.random.default_rng(0).uniform(size=(14, 4))

    found = rank_methods(figures, significance=0.05)

    assert found.critical_difference == pytest.approx(1.25, abs=0.005)


def test_groups_are_the_largest_ones_that_are_not_told_apart() -> None:
    ranks = [3.0, 1.0, 1.8, 5.0, 2.6]

    assert groups_alike(ranks, 1.5) == [(1, 2), (2, 4, 0)]
    assert groups_alike(ranks, 1.7) == [(1, 2, 4), (2, 4, 0)]
    assert groups_alike(ranks, 0.1) == []
