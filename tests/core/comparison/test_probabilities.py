"""Probabilities of tests, against scipy."""

import pytest
from scipy import stats  # type: ignore[import-untyped]

from fdmo_core.comparison.probabilities import (
    chi_square_tail,
    fair_coin_mid_p,
    normal_p_value,
    range_quantile,
)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 19, 20, 57])
@pytest.mark.parametrize("value", [0.0, 1e-3, 0.7, 5.0, 40.0, 300.0])
def test_the_tail_of_chi_square_is_scipy_s(value: float, degrees: int) -> None:
    expected = float(stats.chi2.sf(value, degrees))

    assert chi_square_tail(value, degrees) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("statistic", [-3.0, 0.0, 0.4, 1.959964, 9.0])
def test_a_normal_statistic_is_judged_on_both_sides(statistic: float) -> None:
    expected = 2 * float(stats.norm.sf(abs(statistic)))

    assert normal_p_value(statistic) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("number", "published"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_the_quantile_of_a_range_is_that_of_nemenyi_s_table(number: int, published: float) -> None:
    """Demsar 2006, Table 5(a)."""
    assert range_quantile(0.95, number) / 2**0.5 == pytest.approx(published, abs=1.1e-3)


@pytest.mark.parametrize("number", [2, 7, 40])
@pytest.mark.parametrize("probability", [0.5, 0.9, 0.99])
def test_the_quantile_of_a_range_is_scipy_s(probability: float, number: int) -> None:
    expected = float(stats.studentized_range.ppf(probability, number, 1e8))

    assert range_quantile(probability, number) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("heads", "tails"), [(0, 0), (0, 5), (3, 9), (9, 3), (7, 7), (400, 460)])
def test_the_mid_p_value_is_the_exact_one_less_half_of_what_was_seen(
    heads: int, tails: int
) -> None:
    tosses = heads + tails
    exact = float(stats.binomtest(heads, tosses).pvalue) if tosses else 1.0
    seen = float(stats.binom.pmf(min(heads, tails), tosses, 0.5))
    expected = exact - seen if heads != tails else 1.0

    assert fair_coin_mid_p(heads, tails) == pytest.approx(expected, rel=1e-9)


def test_many_tosses_do_not_overflow() -> None:
    expected = 2 * float(stats.norm.sf((50_500 - 49_500) / 100_000**0.5))

    assert fair_coin_mid_p(49_500, 50_500) == pytest.approx(expected, rel=1e-3)
