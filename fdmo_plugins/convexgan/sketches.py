"""Short descriptions of real features: where in its class each one lies."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fdmo_core import LabelledFeatures
from fdmo_core.randomness import rng_for

ROUNDING = 1e-5  # share of a number's size below which its deviation is float32's rounding


class ClassSketch(nn.Module):
    """Describes a feature by a few numbers that tell it from the others of its class.

    Each stream is projected onto random directions, which keeps distances up to a factor near 1
    (Johnson, Lindenstrauss 1984). From each number the mean of the class is taken away, and it is
    divided by its deviation within the classes, so that an attention finds inputs of one scale
    whatever the features' is. What is constant within the classes becomes 0. The directions are
    the same in every run, means and deviations are those of the dictionary; so no checkpoint needs
    any of them.

    Args:
        stream_dims: Length of each stream's feature, T numbers that sum to F.
        sketch_dim: Numbers for each stream, P.
    """

    directions: Tensor  # (F, P)
    means: Tensor  # (C, T * P)
    deviations: Tensor  # (T * P,)

    def __init__(self, *, stream_dims: Sequence[int], sketch_dim: int) -> None:
        super().__init__()
        self.stream_dims = tuple(stream_dims)
        directions = [
            torch.randn(length, sketch_dim, generator=rng_for(0, "sketch", index))
            for index, length in enumerate(stream_dims)
        ]
        width = sketch_dim * len(directions)
        self.register_buffer("directions", torch.cat(directions), persistent=False)
        self.register_buffer("means", torch.empty(0, width), persistent=False)
        self.register_buffer("deviations", torch.empty(width), persistent=False)

    def fit(self, real: LabelledFeatures) -> Tensor:
        """Measure means and deviations, and return the sketches of the measured features.

        Args:
            real: All features. Shapes ``(N, F)`` and ``(N,)``.

        Returns:
            Shape ``(N, T * P)``, float32.
        """
        sketches = self._project(real.features)
        lengths = sketches.square().mean(dim=0).sqrt()
        num_classes = int(real.labels.max()) + 1
        sums = sketches.new_zeros(num_classes, sketches.shape[1])
        sums = sums.index_add_(0, real.labels, sketches)
        sizes = real.labels.bincount(minlength=num_classes).clamp(min=1).unsqueeze(1)
        self.means = sums / sizes
        sketches -= self.means[real.labels]
        deviations = sketches.square().mean(dim=0).sqrt()
        is_constant = deviations <= ROUNDING * lengths
        self.deviations = deviations.masked_fill(is_constant, torch.inf)
        return sketches / self.deviations

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the sketches of drawn features; those that :meth:`fit` returned for its own.

        Args:
            features: Shape ``(B, S, F)``.
            labels: Class of each of the B sets. Shape ``(B,)``, int64.

        Returns:
            Shape ``(B, S, T * P)``, float32.
        """
        return (self._project(features) - self.means[labels].unsqueeze(1)) / self.deviations

    def _project(self, features: Tensor) -> Tensor:
        parts, start = [], 0
        for stream in features.split(self.stream_dims, dim=-1):
            end = start + stream.shape[-1]
            parts.append(stream @ self.directions[start:end])
            start = end
        return torch.cat(parts, dim=-1).float()
