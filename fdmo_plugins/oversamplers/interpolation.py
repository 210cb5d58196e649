"""SMOTE's step: a point between a row and one of its neighbours in the class."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fdmo_core import ArtificialFeatures, DataError, LabelledFeatures
from fdmo_plugins.oversamplers.neighbours import nearest_rows


class Interpolation:
    """Draws a row of a class, one of its nearest neighbours there, and a point between the two.

    Source: Chawla et al. 2002, "populate": x + u (x_nn - x), u uniform in [0, 1).

    A class with fewer than ``neighbors`` + 1 rows uses as many neighbours as it has; a class with
    one row copies it. Neighbours are searched when a class is first asked for, so that a class for
    which nothing is made costs nothing. They depend on the real features alone.

    Args:
        real: All real features.
        num_classes: C.
        neighbors: k.
        lots: Given the rows of a class (n,), returns how many lots each has in the draw, (n,)
            int64 and not all 0.
    """

    def __init__(
        self,
        real: LabelledFeatures,
        *,
        num_classes: int,
        neighbors: int,
        lots: Callable[[Tensor], Tensor],
    ) -> None:
        self._features, labels = real
        self._lots_of = lots
        self._sizes = labels.bincount(minlength=num_classes)  # (C,)
        self._begins = self._sizes.cumsum(0) - self._sizes  # (C,), a class's first place
        self._rows = labels.argsort(stable=True)  # (N,), the row at each place, class by class
        self._lots = torch.zeros_like(self._rows)  # (N,), by place
        self._lots_up_to = self._lots  # (N,), sums
        self._neighbours = self._rows.unsqueeze(1).repeat(1, neighbors)  # (N, k), by place
        self._num_neighbours = (self._sizes - 1).clamp(1, neighbors)  # (C,)
        self._searched: set[int] = set()

    def make(self, labels: Tensor, rng: torch.Generator, *, num_streams: int) -> ArtificialFeatures:
        """Return artificial features with their two rows and weights.

        Args:
            labels: Shape ``(B,)``, int64.
            rng: Source of randomness, on the CPU.
            num_streams: T; all streams have the same weights.

        Raises:
            DataError: A class has no row.
        """
        for label in set(labels.unique().tolist()) - self._searched:
            self._search(label)
        chances = torch.rand(3, len(labels), generator=rng, dtype=torch.float64).to(labels.device)
        places = self._draw(labels, chances[0])
        columns = (chances[1] * self._num_neighbours[labels]).long()
        rows = torch.stack([self._rows[places], self._neighbours[places, columns]], dim=1)
        steps = chances[2].to(self._features.dtype) * (rows[:, 0] != rows[:, 1])
        weights = torch.stack([1 - steps, steps], dim=1)  # (B, 2)
        features = F.embedding_bag(rows, self._features, per_sample_weights=weights, mode="sum")
        return ArtificialFeatures(features, weights.unsqueeze(1).expand(-1, num_streams, -1), rows)

    def _draw(self, labels: Tensor, chances: Tensor) -> Tensor:
        """Return a place of each label, in proportion to its lots."""
        first = self._begins[labels]
        before = self._lots_up_to[first] - self._lots[first]
        count = self._lots_up_to[first + self._sizes[labels] - 1] - before
        return torch.searchsorted(self._lots_up_to, before + (chances * count).long(), right=True)

    def _search(self, label: int) -> None:
        begin, size = int(self._begins[label]), int(self._sizes[label])
        if not size:
            raise DataError(
                f"Class {label} has no real feature to make artificial ones of. Expected at least "
                f"one. Leave the class out."
            )
        places = slice(begin, begin + size)
        rows = self._rows[places]
        count = min(self._neighbours.shape[1], size - 1)
        self._neighbours[places, :count] = nearest_rows(self._features, rows, rows, count)
        self._lots[places] = self._lots_of(rows)
        self._lots_up_to = self._lots.cumsum(0)
        self._searched.add(label)


def foreign_neighbours(real: LabelledFeatures, rows: Tensor, neighbors: int) -> Tensor:
    """Return which of each row's nearest rows of all classes are of another class.

    Args:
        real: All real features.
        rows: Shape ``(n,)``, int64.
        neighbors: m; all other rows where there are fewer.

    Returns:
        Shape ``(n, m)``, bool.
    """
    everything = torch.arange(len(real.labels), device=rows.device)
    count = min(neighbors, len(everything) - 1)
    nearest = nearest_rows(real.features, rows, everything, count)
    return real.labels[nearest] != real.labels[rows].unsqueeze(1)
