"""Figures of what a generator mixes: how many sources, how far the weights moved, which moments."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from fdmo_core.interfaces import ArtificialFeatures
from fdmo_core.provenance.mixtures import effective_sources, entropy


class Mixing(NamedTuple):
    """How artificial features are mixed, a mean over their streams; NaN where a class has one row.

    Attributes:
        entropy: Of the weights, as a share of the largest there can be. Shape ``(B,)``, float64.
        sources: How many equal weights have the same entropy. Shape ``(B,)``, float64.
    """

    entropy: Tensor
    sources: Tensor


def mixing(made: ArtificialFeatures, class_sizes: Tensor) -> Mixing:
    """Return how each artificial feature is mixed.

    Source: Shannon 1948 for the entropy H, Hill 1973 for exp(H), the diversity of order 1.

    Args:
        made: With weights. Those of a row that occurs twice count together.
        class_sizes: Rows that the class of each feature has. Shape ``(B,)``, int64.
    """
    assert made.weights is not None
    weights = made.weights.detach().double()
    if made.rows is not None:
        weights = _merged(weights, made.rows)
    most = class_sizes.to(weights.device).clamp(max=weights.shape[-1])
    scale = torch.where(most > 1, most.double().log(), torch.nan)
    sources = torch.where(most > 1, effective_sources(weights).mean(dim=1), torch.nan)
    return Mixing(entropy(weights).mean(dim=1) / scale, sources)


def _merged(weights: Tensor, rows: Tensor) -> Tensor:
    """Return the weights with those of equal rows added up; places that are left over hold 0.

    Args:
        weights: Shape ``(B, T, S)``.
        rows: Shape ``(B, S)``, int64.
    """
    ordered, order = rows.sort(dim=1)
    is_new = ordered[:, 1:] != ordered[:, :-1]
    places = torch.nn.functional.pad(is_new.long().cumsum(dim=1), (1, 0))  # (B, S)
    taken = weights.gather(2, order.unsqueeze(1).expand_as(weights))
    return torch.zeros_like(weights).scatter_add(2, places.unsqueeze(1).expand_as(weights), taken)


def moved(before: ArtificialFeatures, now: ArtificialFeatures) -> float:
    """Return how much weight lies elsewhere than before: 0 for none, 1 for all of it.

    It is the distance in total variation, ``1/2 sum_i |w_i - v_i|``, a mean over features and
    streams.

    Args:
        before: With weights, made for the same labels, draws and noise as ``now``.
        now: With weights.
    """
    assert before.weights is not None
    assert now.weights is not None
    same = before.rows is None or now.rows is None or torch.equal(before.rows, now.rows)
    if not same or before.weights.shape != now.weights.shape:
        return 1.0
    gap = (now.weights.double() - before.weights.double()).abs().sum(dim=-1)
    return float(gap.mean() / 2)


class Gaps(NamedTuple):
    """How far the moments of artificial features are from those of real ones; 0 is equal.

    Attributes:
        mean: Distance of the means, in lengths of the real features' standard deviation.
        deviation: Distance of the standard deviations, in the same.
    """

    mean: float
    deviation: float


def moment_gaps(real: Tensor, artificial: Tensor) -> Gaps | None:
    """Return the distance of the moments; None where real features do not differ, or are too few.

    ``|m_a - m_r| / |s_r|`` and ``|s_a - s_r| / |s_r|``, where m is the mean and s the standard
    deviation of each number of a feature.

    Args:
        real: Of one class. Shape ``(N, F)``.
        artificial: Of the same class. Shape ``(M, F)``.
    """
    if min(len(real), len(artificial)) < 2:
        return None
    real, artificial = real.double(), artificial.double()
    spread = real.std(dim=0)
    length = float(spread.norm())
    if not (length > 0 and math.isfinite(length)):
        return None
    mean = float((artificial.mean(dim=0) - real.mean(dim=0)).norm()) / length
    return Gaps(mean, float((artificial.std(dim=0) - spread).norm()) / length)
