"""Which artificial rows come in which batch: the classes, without a list of all of them."""

from collections.abc import Iterator

import torch
from torch import Tensor

from fdmo_core.randomness import rng_for


def counted_labels(wanted: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Yield every class as often as it is wanted, class after class.

    Args:
        wanted: How often. Shape ``(C,)``, int64.
        batch_size: B; the last batch may be smaller.

    Yields:
        Shape ``(B,)``, int64.
    """
    ends = wanted.cumsum(0)
    total = int(ends[-1])
    for start in range(0, total, batch_size):
        places = torch.arange(start, min(start + batch_size, total))
        yield torch.searchsorted(ends, places, right=True)


def drawn_labels(wanted: Tensor, num: int, batch_size: int, *, seed: int) -> Iterator[Tensor]:
    """Yield classes at random, each in proportion to how often it is wanted.

    Source: Algorithm 1, line 11 of the paper, where what is wanted is what a class lacks.

    Args:
        wanted: At least one above 0. Shape ``(C,)``, int64.
        num: How many in all.
        batch_size: B; the last batch may be smaller.
        seed: Decides what is drawn.

    Yields:
        Shape ``(B,)``, int64.
    """
    for index, start in enumerate(range(0, num, batch_size)):
        size = min(batch_size, num - start)
        rng = rng_for(seed, "labels", index)
        yield wanted.double().multinomial(size, replacement=True, generator=rng)
