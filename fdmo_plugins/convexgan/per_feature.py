"""Table 1 taken literally: every feature has convex weights of its own.

The last layer then gives F x S numbers per sample. They are never held at once: the features are
worked off in chunks, and backward computes each chunk again instead of having kept it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fdmo_core import DrawnFeatures
from fdmo_plugins.convexgan.weights import masked_softmax


class _Chunk(NamedTuple):
    """A range of features: its lines of the last layer and its weights and values."""

    columns: slice
    lines: slice
    weights: Tensor  # (B, f, S)
    values: Tensor  # (B, S, f)


def per_feature_combination(
    hidden: Tensor, last: torch.nn.Linear, drawn: DrawnFeatures, *, chunk_size: int
) -> Tensor:
    """Return the sum of the drawn features under weights per feature.

    Source: Table 1 of the paper, FC3 of ``4096 x N_s`` outputs.

    Departs from Sec. IV-E: the result need not lie in the convex hull of the drawn features, only
    in their bounding box.

    Args:
        hidden: Input of the last layer. Shape ``(B, E)``.
        last: The last layer, from E to ``F * S``, feature by feature.
        drawn: One set of features per class.
        chunk_size: How many features are worked off at a time.

    Returns:
        Joined artificial features. Shape ``(B, F)``.
    """
    combined: Tensor = _Chunked.apply(hidden, last.weight, last.bias, drawn, chunk_size)
    return combined


def per_feature_weights(hidden: Tensor, last: torch.nn.Linear, drawn: DrawnFeatures) -> Tensor:
    """Return all the weights at once, for inspection: shape ``(B, F, S)``."""
    logits = last(hidden).unflatten(1, (drawn.store.shape[1], drawn.rows.shape[1]))
    return masked_softmax(logits, drawn.mask[drawn.groups].unsqueeze(1))


def _chunks(
    hidden: Tensor, weight: Tensor, bias: Tensor, drawn: DrawnFeatures, chunk_size: int
) -> Iterator[_Chunk]:
    length, samples_per_class = drawn.store.shape[1], drawn.rows.shape[1]
    mask = drawn.mask[drawn.groups].unsqueeze(1)  # (B, 1, S)
    for start in range(0, length, chunk_size):
        columns = slice(start, min(start + chunk_size, length))
        lines = slice(columns.start * samples_per_class, columns.stop * samples_per_class)
        logits = torch.addmm(bias[lines], hidden, weight[lines].T)  # (B, f * S)
        weights = masked_softmax(logits.unflatten(1, (-1, samples_per_class)), mask)
        values = drawn.store[:, columns][drawn.rows][drawn.groups]  # (B, S, f)
        yield _Chunk(columns, lines, weights, values)


class _Chunked(torch.autograd.Function):
    """Weighted sum in chunks of features; backward recomputes the weights."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        drawn: DrawnFeatures,
        chunk_size: int,
    ) -> Tensor:
        ctx.save_for_backward(hidden, weight, bias)
        ctx.drawn, ctx.chunk_size = drawn, chunk_size
        combined = hidden.new_empty(len(hidden), drawn.store.shape[1])  # (B, F)
        for chunk in _chunks(hidden, weight, bias, drawn, chunk_size):
            combined[:, chunk.columns] = torch.einsum("bfs,bsf->bf", chunk.weights, chunk.values)
        return combined

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias = ctx.saved_tensors
        to_hidden, to_bias = torch.zeros_like(hidden), torch.zeros_like(bias)
        to_weight = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        for chunk in _chunks(hidden, weight, bias, ctx.drawn, ctx.chunk_size):
            slope = gradients[0][:, chunk.columns].unsqueeze(2)  # (B, f, 1)
            values = chunk.values.transpose(1, 2)  # (B, f, S)
            combined = (chunk.weights * values).sum(dim=2, keepdim=True)
            to_logits = (chunk.weights * (values - combined) * slope).flatten(1)  # (B, f * S)
            to_hidden.addmm_(to_logits, weight[chunk.lines])
            if to_weight is not None:
                torch.mm(to_logits.T, hidden, out=to_weight[chunk.lines])
            to_bias[chunk.lines] = to_logits.sum(dim=0)
        return to_hidden, to_weight, to_bias, None, None
