"""Eq. (3): artificial features as convex combinations of drawn dictionary features."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from fdmo_core.errors import ShapeError
from fdmo_core.interfaces import DrawnFeatures


def convex_combination(weights: Tensor, drawn: DrawnFeatures, stream_dims: Sequence[int]) -> Tensor:
    """Return the weighted sum of the features drawn for each sample's class.

    Source: Eq. (3) of the paper, for all streams at once.

    All samples of a class share one drawn set, so each class is one matrix product. Its features
    are gathered class by class, forward and again backward: at no time is there more than one
    class's ``(S, F)`` beside the result. Gradients reach ``weights`` only.

    Args:
        weights: Non-negative, each row sums to 1, and 0 where the drawn set is padding.
            Shape ``(B, T, S)``.
        drawn: One set of features per class.
        stream_dims: Length of each stream's feature, T numbers. Pass ``(F,)`` and weights of
            shape ``(B, 1, S)`` for one weight vector over the joined feature.

    Returns:
        Joined artificial features. Shape ``(B, F)``.

    Raises:
        ShapeError: Weights, drawn sets and streams do not fit together.
    """
    expected = (len(drawn.groups), len(stream_dims), drawn.rows.shape[1])
    if tuple(weights.shape) != expected or sum(stream_dims) != drawn.store.shape[1]:
        raise ShapeError(
            f"Convex weights {tuple(weights.shape)} do not fit drawn features of length "
            f"{drawn.store.shape[1]}. Expected weights (B, T, S) = {expected} for streams "
            f"{tuple(stream_dims)} that sum to the feature's length. Give one weight per sample, "
            f"stream and drawn feature."
        )
    combined: Tensor = _GroupedCombination.apply(weights, drawn, tuple(stream_dims))
    return combined


def dense_combination(weights: Tensor, drawn: Tensor, stream_dims: Sequence[int]) -> Tensor:
    """Return the weighted sum of features of which each sample has a set of its own.

    Source: Eq. (3) of the paper; what :func:`convex_combination` does, in operations that can be
    traced, at the cost of a copy of the set for each sample.

    Args:
        weights: As :meth:`FeatureGenerator.weigh` returns them. Shape ``(B, T, S)`` or
            ``(B, F, S)``.
        drawn: Shape ``(B, S, F)``.
        stream_dims: Length of each stream's feature, T numbers that sum to F.

    Returns:
        Joined artificial features. Shape ``(B, F)``.
    """
    if weights.shape[1] == drawn.shape[2]:  # weights per feature, or streams of length 1
        return (weights * drawn.transpose(1, 2)).sum(dim=2)
    parts = zip(weights.split(1, dim=1), drawn.split(tuple(stream_dims), dim=2), strict=True)
    return torch.cat([(weight @ stream).squeeze(1) for weight, stream in parts], dim=1)


def _classes(drawn: DrawnFeatures) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the samples (b,) of each class, with the class's drawn features (S, F).

    All classes share one buffer: what is yielded is valid until the next one.
    """
    features = drawn.store.new_empty(drawn.rows.shape[1], drawn.store.shape[1])
    order = drawn.groups.argsort(stable=True)
    sizes = drawn.groups.bincount(minlength=len(drawn.rows)).tolist()
    for samples, rows in zip(order.split(sizes), drawn.rows, strict=True):
        torch.index_select(drawn.store, 0, rows, out=features)
        yield samples, features


class _GroupedCombination(torch.autograd.Function):
    """The grouped product, with the gathered features recomputed in backward."""

    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, drawn: DrawnFeatures, stream_dims: tuple[int, ...]
    ) -> Tensor:
        ctx.drawn, ctx.stream_dims = drawn, stream_dims
        combined = weights.new_empty(len(weights), drawn.store.shape[1])  # (B, F)
        for samples, features in _classes(drawn):
            parts = zip(weights[samples].unbind(1), features.split(stream_dims, dim=1), strict=True)
            products: list[Tensor] = [weight @ stream for weight, stream in parts]
            if len(products) == len(drawn.rows) == 1:  # one stream and one class: nothing to join
                return products[0]
            combined[samples] = torch.cat(products, dim=1)
        return combined

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        samples_per_class = ctx.drawn.rows.shape[1]
        result = gradient.new_empty(len(gradient), len(ctx.stream_dims), samples_per_class)
        for samples, features in _classes(ctx.drawn):
            parts = zip(
                features.split(ctx.stream_dims, dim=1),
                gradient[samples].split(ctx.stream_dims, dim=1),
                strict=True,
            )
            slopes = [(stream @ slope.T).T for stream, slope in parts]
            result[samples] = torch.stack(slopes, dim=1)
        return result, None, None
