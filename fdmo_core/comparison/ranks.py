"""Whether methods differ in rank over repeated runs, and by how much they must to be told apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fdmo_core.comparison.probabilities import chi_square_tail, range_quantile


@dataclass(frozen=True)
class Ranking:
    """Mean ranks of methods, and what makes them differ.

    Attributes:
        mean_ranks: 1 is best. Shape ``(M,)``.
        p_value: Of Friedman's test that all methods are alike.
        critical_difference: Two mean ranks that differ by less are not told apart (Nemenyi).
    """

    mean_ranks: NDArray[np.float64]
    p_value: float
    critical_difference: float


def rank_methods(figures: NDArray[np.float64], *, significance: float) -> Ranking:
    """Return the ranks of methods over runs, with Friedman's test and Nemenyi's difference.

    Source: Friedman 1937, with his correction for ties; Nemenyi 1963; both as in Demsar 2006,
    whose blocks are data sets. Seeds of one data set are no independent data sets: the result
    speaks of training again on this data, not of other data.

    Args:
        figures: Higher is better; a row for each of S runs. Shape ``(S, M)``, M at least 2.
        significance: Of the critical difference.
    """
    runs, methods = figures.shape
    ranks = np.stack([_ranks(row) for row in figures])
    mean_ranks = ranks.mean(axis=0)
    between = runs * ((mean_ranks - (methods + 1) / 2) ** 2).sum()
    within = ((ranks - (methods + 1) / 2) ** 2).sum() / (runs * (methods - 1))
    statistic = between / within if within > 0 else 0.0
    quantile = range_quantile(1 - significance, methods) / math.sqrt(2)
    return Ranking(
        mean_ranks=mean_ranks,
        p_value=chi_square_tail(float(statistic), methods - 1),
        critical_difference=quantile * math.sqrt(methods * (methods + 1) / (6 * runs)),
    )


def _ranks(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1 for the highest; equal figures share the mean of theirs."""
    above = (figures[None, :] > figures[:, None]).sum(axis=1)
    equal = (figures[None, :] == figures[:, None]).sum(axis=1)
    return np.asarray(above + (equal + 1) / 2)


def groups_alike(mean_ranks: Sequence[float], critical_difference: float) -> list[tuple[int, ...]]:
    """Return the largest groups of methods that are not told apart, best first.

    Args:
        mean_ranks: Of the methods.
        critical_difference: Of :class:`Ranking`.

    Returns:
        Indices into ``mean_ranks``; groups of one are left out.
    """
    order = sorted(range(len(mean_ranks)), key=lambda one: mean_ranks[one])
    groups: list[tuple[int, ...]] = []
    for position, first in enumerate(order):
        group = tuple(
            one
            for one in order[position:]
            if mean_ranks[one] - mean_ranks[first] <= critical_difference
        )
        if len(group) > 1 and not any(set(group) <= set(one) for one in groups):
            groups.append(group)
    return groups
