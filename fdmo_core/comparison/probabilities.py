"""Probabilities that the tests of a comparison need, in closed form or by quadrature."""

import math
from statistics import NormalDist

import numpy as np

from fdmo_core.estimates import BISECTIONS

GRID = np.linspace(-9.0, 9.0, 4001)  # of a standard normal; what lies outside is below 1e-18
WIDEST_RANGE = 20.0  # of standard normals, so many that no quantile asked for lies above


def chi_square_tail(value: float, degrees: int) -> float:
    """Return how likely chi-square with so many degrees of freedom is above a value.

    Source: Abramowitz and Stegun 1964, Eqs. (26.4.4), (26.4.5) and (26.4.8).

    Args:
        value: At least 0.
        degrees: At least 1.
    """
    if value <= 0:
        return 1.0
    half = value / 2
    is_odd = degrees % 2
    tail = math.erfc(math.sqrt(half)) if is_odd else math.exp(-half)
    for step in range(1 if is_odd else 2, degrees, 2):
        tail += math.exp(step / 2 * math.log(half) - half - math.lgamma(step / 2 + 1))
    return min(tail, 1.0)


def normal_p_value(statistic: float) -> float:
    """Return how likely a standard normal is at least so far from 0, on either side."""
    return math.erfc(abs(statistic) / math.sqrt(2))


def range_quantile(probability: float, number: int) -> float:
    """Return what the range of independent standard normals stays below with a probability.

    Source: Tukey 1953; the distribution function is k times the integral over x of
    ``phi(x) * (Phi(x) - Phi(x - q)) ** (k - 1)``, here by the trapezoidal rule.

    Args:
        probability: In (0, 1).
        number: k, at least 2.
    """
    low, high = 0.0, WIDEST_RANGE
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        is_below = _range_probability(middle, number) < probability
        low, high = (middle, high) if is_below else (low, middle)
    return low


def _range_probability(width: float, number: int) -> float:
    normal = NormalDist()
    inside = np.array([normal.cdf(one) - normal.cdf(one - width) for one in GRID])
    density = np.exp(-(GRID**2) / 2) / math.sqrt(2 * math.pi)
    step = GRID[1] - GRID[0]
    return float(number * (density * inside ** (number - 1)).sum() * step)


def fair_coin_mid_p(heads: int, tails: int) -> float:
    """Return the two-sided mid-p value of so many heads and tails of a fair coin.

    Half of the probability of what was seen counts as more extreme, which makes the exact test
    less cautious than it need be.

    Source: Lancaster 1961, for the exact binomial test.
    """
    tosses, fewer = heads + tails, min(heads, tails)
    if heads == tails:
        return 1.0
    likely = [
        math.exp(
            math.lgamma(tosses + 1)
            - math.lgamma(one + 1)
            - math.lgamma(tosses - one + 1)
            - tosses * math.log(2)
        )
        for one in range(fewer + 1)
    ]
    return min(2 * math.fsum(likely) - likely[-1], 1.0)
