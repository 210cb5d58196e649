"""Which streams are mixed, and by how many weight vectors: Eq. (3), Fig. 3, Table 5."""

from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from fdmo_core import ArtificialFeatures, DrawnFeatures
from fdmo_core.combination import convex_combination
from fdmo_plugins.convexgan.weights import masked_softmax, one_hot_weights


class StreamOptions(Protocol):
    """What the config of a generator says of its streams."""

    @property
    def tie_streams(self) -> bool:
        """Whether the streams share one weight vector."""

    @property
    def artificial_streams(self) -> Literal["both", "texture", "shape"]:
        """Streams with mixed features; the other one keeps a drawn one."""


def check_streams(options: StreamOptions) -> None:
    """Raise a ValueError where the options contradict each other."""
    if options.artificial_streams != "both" and options.tie_streams:
        raise ValueError(
            f"artificial_streams = '{options.artificial_streams}' has no meaning with tie_streams "
            f"= true, where both streams are mixed alike; remove one of the two"
        )


def num_weight_vectors(options: StreamOptions, stream_dims: Sequence[int]) -> int:
    """Return how many weight vectors a network makes for each sample."""
    one = options.tie_streams or options.artificial_streams != "both"
    return 1 if one else len(stream_dims)


def mix_streams(
    scores: Tensor,
    drawn: DrawnFeatures,
    *,
    options: StreamOptions,
    stream_dims: Sequence[int],
    rng: torch.Generator,
) -> ArtificialFeatures:
    """Return the drawn features mixed by the softmax of the scores.

    Source: Eq. (3) of the paper; Fig. 3 and Table 5 for one artificial stream, whose partner is a
    drawn feature of the same class, chosen with equal chances.

    Args:
        scores: Of the drawn features, before the softmax, V = :func:`num_weight_vectors` of them
            for each sample. Shape ``(B, V, S)``.
        drawn: One set of features per class.
        options: Which streams are mixed.
        stream_dims: Length of each stream's feature, T numbers.
        rng: Source of randomness, on the CPU.
    """
    mask = drawn.mask[drawn.groups]  # (B, S)
    weights = masked_softmax(scores, mask.unsqueeze(1))
    if options.artificial_streams != "both":
        real = one_hot_weights(mask, rng).unsqueeze(1)
        is_texture = options.artificial_streams == "texture"
        weights = torch.cat([weights, real] if is_texture else [real, weights], dim=1)
    weighted_dims = (sum(stream_dims),) if options.tie_streams else tuple(stream_dims)
    features = convex_combination(weights, drawn, weighted_dims)
    return ArtificialFeatures(features, weights.expand(-1, len(stream_dims), -1))
