"""Which rows of the dictionary an artificial feature was mixed from, and how many it amounts to."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fdmo_core.interfaces import ArtificialFeatures


class Mixture(NamedTuple):
    """The sources of one artificial feature, the weightiest first.

    Attributes:
        rows: Different rows of the dictionary's store. Shape ``(S,)``, int64.
        weights: What each stream took from each row; no row has the weight 0 in all streams.
            Shape ``(T, S)``, each line sums to 1.
    """

    rows: Tensor
    weights: Tensor


def mixtures(made: ArtificialFeatures, stream_dims: Sequence[int]) -> list[Mixture] | None:
    """Return the sources of each artificial feature; None where the generator names none.

    Where every number of a feature has weights of its own, a stream's weight is the mean over its
    numbers.

    Args:
        made: With rows, as :meth:`Rebalancer.make_artificial` gives them.
        stream_dims: Length of each stream's feature, T numbers.
    """
    if made.weights is None or made.rows is None:
        return None
    weights = made.weights.detach().double().cpu()
    if weights.shape[1] != len(stream_dims):  # (B, F, S)
        parts = weights.split(list(stream_dims), dim=1)
        weights = torch.stack([part.mean(dim=1) for part in parts], dim=1)
    return [_merged(*one) for one in zip(made.rows.cpu(), weights, strict=True)]  # (B, T, S)


def _merged(rows: Tensor, weights: Tensor) -> Mixture:
    """Return each row once, for a generator may choose one twice or pad with one at weight 0."""
    unique, places = rows.unique(return_inverse=True)
    summed = weights.new_zeros(len(weights), len(unique)).index_add_(1, places, weights)
    order = summed.mean(dim=0).argsort(descending=True, stable=True)
    order = order[summed[:, order].sum(dim=0) > 0]
    return Mixture(unique[order], summed[:, order])


def entropy(weights: Tensor) -> Tensor:
    """Return the entropy of convex weights in nats: 0 for a copy, ``log S`` for the mean.

    Source: Shannon 1948, ``H(w) = -sum_i w_i log w_i`` with ``0 log 0 = 0``.

    Args:
        weights: Non-negative, each row sums to 1. Shape ``(..., S)``.

    Returns:
        Shape ``(...)``.
    """
    terms: Tensor = torch.special.xlogy(weights, weights)
    return -terms.sum(dim=-1)


def effective_sources(weights: Tensor) -> Tensor:
    """Return how many equal weights have the same entropy: ``exp(H(w))``, from 1 to S.

    Source: Hill 1973, the diversity of order 1.

    Args:
        weights: As :func:`entropy` takes them. Shape ``(..., S)``.

    Returns:
        Shape ``(...)``.
    """
    return torch.exp(entropy(weights))
