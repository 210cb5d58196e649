"""Short descriptions of real features: where in its class each one lies."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fdmo_core import LabelledFeatures
from fdmo_core.randomness import rng_for

ROUNDING = 1e-5  # share of a number's size below which its deviation is float32's rounding


def class_sketches(
    real: LabelledFeatures, *, stream_dims: Sequence[int], sketch_dim: int
) -> Tensor:
    """Return a few numbers for each feature that tell it from the others of its class.

    Each stream is projected onto random directions, which keeps distances up to a factor near 1
    (Johnson, Lindenstrauss 1984). From each number the mean of the class is taken away, and it is
    divided by its deviation within the classes, so that an attention finds inputs of one scale
    whatever the features' is. What is constant within the classes becomes 0. The directions are
    the same in every run.

    Args:
        real: All features. Shapes ``(N, F)`` and ``(N,)``.
        stream_dims: Length of each stream's feature, T numbers that sum to F.
        sketch_dim: Numbers for each stream, P.

    Returns:
        Shape ``(N, T * P)``, float32.
    """
    parts = []
    for index, stream in enumerate(real.features.split(tuple(stream_dims), dim=1)):
        directions = torch.randn(stream.shape[1], sketch_dim, generator=rng_for(0, "sketch", index))
        parts.append(stream @ directions.to(stream.device))
    sketches = torch.cat(parts, dim=1).float()  # (N, T * P)
    lengths = sketches.square().mean(dim=0).sqrt()
    num_classes = int(real.labels.max()) + 1
    sums = sketches.new_zeros(num_classes, sketches.shape[1]).index_add_(0, real.labels, sketches)
    sizes = real.labels.bincount(minlength=num_classes).clamp(min=1).unsqueeze(1)
    sketches -= (sums / sizes)[real.labels]
    deviations = sketches.square().mean(dim=0).sqrt()
    is_constant = deviations <= ROUNDING * lengths
    return sketches / deviations.masked_fill(is_constant, torch.inf)
