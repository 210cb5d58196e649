"""Which images an epoch of phase 1 shows, and in what order."""

from typing import Literal

import torch
from torch import Tensor

Sampling = Literal["natural", "balanced"]


def epoch_rows(labels: Tensor, sampling: Sampling, rng: torch.Generator) -> Tensor:
    """Return the rows of one epoch, as many as there are images.

    ``"natural"`` shows every image once. ``"balanced"`` draws each row's class uniformly, then an
    image of it, with replacement (Kang et al. 2020, Sec. 4.1).

    The order is one for all processes: each takes its share of a batch, so no image counts twice
    and none is lost, whatever their number.

    Args:
        labels: Class of every image. Shape ``(N,)``, int64.
        sampling: How images are drawn.
        rng: Source of randomness, on the CPU.

    Returns:
        Shape ``(N,)``, int64.
    """
    if sampling == "natural":
        return torch.randperm(len(labels), generator=rng)
    return balanced_rows(labels, len(labels), rng)


def balanced_rows(labels: Tensor, size: int, rng: torch.Generator) -> Tensor:
    """Return rows with replacement: each one's class is drawn uniformly, then a row of it.

    Args:
        labels: Class of every row. Shape ``(N,)``, int64, on the CPU.
        size: How many rows to draw.
        rng: Source of randomness, on the CPU.

    Returns:
        Shape ``(size,)``, int64.
    """
    by_class = labels.argsort(stable=True)  # rows in order of class
    sizes = labels.bincount()
    held = sizes.nonzero().flatten()
    classes = held[torch.randint(len(held), (size,), generator=rng)]
    chance = torch.rand(size, generator=rng, dtype=torch.float64)
    offsets = sizes.cumsum(0) - sizes  # first row of each class
    return by_class[offsets[classes] + (chance * sizes[classes]).long()]
