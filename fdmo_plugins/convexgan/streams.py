"""Which streams are mixed, and by how many weight vectors: Eq. (3), Fig. 3, Table 5."""

from collections.abc import Sequence
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from fdmo_core import ArtificialFeatures, ComponentConfig, DrawnFeatures, ExportError
from fdmo_core.combination import convex_combination
from fdmo_plugins.convexgan.weights import masked_softmax, one_hot_weights


class StreamsConfig(ComponentConfig):
    """Which streams :func:`mix_streams` mixes, and whether alike."""

    tie_streams: bool = Field(
        default=False, description="Whether the streams share one weight vector."
    )
    artificial_streams: Literal["both", "texture", "shape"] = Field(
        default="both",
        description="Streams with mixed features; the other one keeps a drawn one (Fig. 3).",
    )

    @model_validator(mode="after")
    def _mixed_alike_or_not(self) -> Self:
        if self.artificial_streams != "both" and self.tie_streams:
            raise ValueError(
                f"artificial_streams = '{self.artificial_streams}' has no meaning with "
                f"tie_streams = true, where both streams are mixed alike; remove one of the two"
            )
        return self


def num_weight_vectors(config: StreamsConfig, stream_dims: Sequence[int]) -> int:
    """Return how many weight vectors a network makes for each sample."""
    one = config.tie_streams or config.artificial_streams != "both"
    return 1 if one else len(stream_dims)


def mix_streams(
    scores: Tensor,
    drawn: DrawnFeatures,
    *,
    config: StreamsConfig,
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
        config: Which streams are mixed.
        stream_dims: Length of each stream's feature, T numbers.
        rng: Source of randomness, on the CPU.
    """
    mask = drawn.mask[drawn.groups]  # (B, S)
    weights = masked_softmax(scores, mask.unsqueeze(1))
    if config.artificial_streams != "both":
        real = one_hot_weights(mask, rng).unsqueeze(1)
        is_texture = config.artificial_streams == "texture"
        weights = torch.cat([weights, real] if is_texture else [real, weights], dim=1)
    weighted_dims = (sum(stream_dims),) if config.tie_streams else tuple(stream_dims)
    features = convex_combination(weights, drawn, weighted_dims)
    return ArtificialFeatures(features, weights.expand(-1, len(stream_dims), -1))


def stream_weights(
    scores: Tensor, mask: Tensor, *, config: StreamsConfig, stream_dims: Sequence[int]
) -> Tensor:
    """Return the weights that :func:`mix_streams` mixes by, where they depend on scores alone.

    Args:
        scores: As there. Shape ``(B, V, S)``.
        mask: Which of each sample's features were drawn. Shape ``(B, S)``, bool.
        config: As there.
        stream_dims: As there.

    Returns:
        Shape ``(B, T, S)``.

    Raises:
        ExportError: One stream keeps a drawn feature, which is chosen at random.
    """
    if config.artificial_streams != "both":
        raise ExportError(
            f"The generator has artificial_streams = '{config.artificial_streams}': the other "
            f"stream's feature is chosen at random, not by the noise. Expected artificial_streams "
            f"= 'both' of a generator that is exported. Train phase 2 with it from the same phase "
            f"1: fdmo train --phase1-from RUN."
        )
    weights = masked_softmax(scores, mask.unsqueeze(1))
    return weights.expand(-1, len(stream_dims), -1)
