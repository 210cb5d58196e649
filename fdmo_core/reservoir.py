"""Which rows of a class a capped dictionary keeps: a seeded sample that depends on no order.

Every row has a priority, a hash of the seed and of the row's source. A class keeps the rows of
lowest priority. That is a uniform sample without replacement, as Vitter 1985 has it for streams,
and moreover the same sample in whatever order and in however many parts the rows arrive.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fdmo_core.randomness import derive_seed


class HeldRows(NamedTuple):
    """Rows in order of class, then of source.

    Attributes:
        features: Shape ``(N, F)``, float32.
        labels: Shape ``(N,)``, int64.
        sources: Shape ``(N,)``, int64.
    """

    features: Tensor
    labels: Tensor
    sources: Tensor


def priorities(seed: int, sources: Tensor) -> Tensor:
    """Return the priority of each row; lower ones are kept.

    Source: the finaliser of splitmix64 (Steele et al. 2014) over source and seed.

    Args:
        seed: Any integer.
        sources: What identifies the rows. Shape ``(B,)``, int64.

    Returns:
        Priorities, uniform over the int64 range. Shape ``(B,)``, int64.
    """
    offset = np.uint64(derive_seed(seed, "reservoir"))
    mixed = sources.numpy().astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + offset
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return torch.from_numpy((mixed ^ (mixed >> np.uint64(31))).view(np.int64))


class Reservoir:
    """Collects rows in one pass and holds at most ``max_per_class`` of each class.

    Memory is bounded by three times the cap (and one batch): rows that cannot stay are refused as
    they arrive, and the others are sorted out, into a copy, whenever they have doubled.

    Args:
        num_classes: C.
        max_per_class: The cap, at least 1.
        seed: Decides which rows stay.
    """

    def __init__(self, *, num_classes: int, max_per_class: int, seed: int) -> None:
        self._max_per_class = max_per_class
        self._seed = seed
        self._limits = torch.full((num_classes,), torch.iinfo(torch.int64).max)  # (C,)
        self._parts: list[HeldRows] = []
        self._num_sorted = 0
        self._num_pending = 0

    def offer(self, features: Tensor, labels: Tensor, sources: Tensor) -> None:
        """Take the rows that may stay; shapes as in :class:`HeldRows`, on the CPU.

        Rows that all may stay are not copied yet, so nobody may change them afterwards.
        """
        may_stay = priorities(self._seed, sources) <= self._limits[labels]
        if not may_stay.any():
            return
        rows = HeldRows(features, labels, sources)
        if not may_stay.all():
            rows = HeldRows(*(column[may_stay] for column in rows))
        self._parts.append(rows)
        self._num_pending += len(rows.labels)
        if self._num_pending > max(self._num_sorted, self._max_per_class):
            self._sort_out()

    def held(self) -> HeldRows:
        """Return the rows that stay, in order of class, then of source."""
        if not self._parts:
            return HeldRows(torch.empty(0, 0), torch.empty(0).long(), torch.empty(0).long())
        self._sort_out()
        return self._parts[0]

    def _sort_out(self) -> None:
        labels = torch.cat([part.labels for part in self._parts])
        sources = torch.cat([part.sources for part in self._parts])
        rank = priorities(self._seed, sources)
        kept = []
        for label in labels.unique().tolist():
            rows = torch.nonzero(labels == label).flatten()
            rows = rows[rank[rows].argsort()][: self._max_per_class]
            if len(rows) == self._max_per_class:
                self._limits[label] = rank[rows[-1]]
            kept.append(rows[sources[rows].argsort()])
        order = torch.cat(kept) if kept else torch.empty(0, dtype=torch.int64)
        self._parts = [HeldRows(self._pick(order), labels[order], sources[order])]
        self._num_sorted, self._num_pending = len(order), 0

    def _pick(self, order: Tensor) -> Tensor:
        """Return the features of these rows of all parts, and let go of each part once picked."""
        first = self._parts[0].features
        if len(self._parts) == 1:
            return first[order]
        picked = first.new_empty(len(order), first.shape[1])
        start = 0
        while self._parts:
            part = self._parts.pop(0)
            places = ((order >= start) & (order < start + len(part.labels))).nonzero().flatten()
            picked[places] = part.features[order[places] - start]
            start += len(part.labels)
        return picked
