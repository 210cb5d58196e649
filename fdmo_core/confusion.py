"""Counts what a classifier gets right and wrong: the integers that every metric comes from."""

import mmap
import sys
from dataclasses import dataclass

import torch
from torch import Tensor

from fdmo_core.errors import DataError, ShapeError


@dataclass(frozen=True, eq=False)
class Tally:
    """Confusion matrix and top-k hits of the samples seen so far.

    All entries are integers on the CPU, so neither the order of the samples, nor how they are
    split into batches, nor how many processes share them changes a result. The matrix is dense, of
    8 C^2 bytes, but the system gives memory only to the pages that hold a count: at most one of
    4 KiB for each sample. A sum over several processes fills all of them.

    Attributes:
        matrix: Samples of a true class (row) that were predicted as a class (column). Shape
            ``(C, C)``, int64.
        hits: Samples of each true class that ranked among the best ``top_k`` classes. Shape
            ``(C,)``, int64.
        top_k: How many of the best classes may hold the true one; at most C.
    """

    matrix: Tensor
    hits: Tensor
    top_k: int

    @classmethod
    def empty(cls, num_classes: int, *, top_k: int) -> "Tally":
        """Return a tally of no samples.

        Args:
            num_classes: C.
            top_k: At least 1. A value above C means C, where every sample is a hit.
        """
        return cls(
            matrix=_zeros(num_classes),
            hits=torch.zeros(num_classes, dtype=torch.int64),
            top_k=min(top_k, num_classes),
        )

    @property
    def num_classes(self) -> int:
        """The number of classes, C."""
        return len(self.hits)

    @property
    def totals(self) -> Tensor:
        """Samples of each true class. Shape ``(C,)``, int64."""
        return self.matrix.sum(dim=1)

    @property
    def correct(self) -> Tensor:
        """Samples of each true class that were predicted as it. Shape ``(C,)``, int64."""
        return self.matrix.diagonal()

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Count one batch.

        Classes are ranked by falling score, equal scores by rising index. The first is the
        prediction; the true class is a hit if fewer than ``top_k`` classes rank before it.

        Args:
            logits: Unnormalised class scores, on any device. Shape ``(B, C)``.
            labels: True classes, each in ``[0, C)``. Shape ``(B,)``, int64.

        Raises:
            ShapeError: The shapes do not fit, or a label is out of range.
            DataError: A score is NaN, which has no rank.
        """
        self._check(logits, labels)
        own = logits.gather(1, labels[:, None])  # (B, 1)
        index = torch.arange(self.num_classes, device=logits.device)
        before = (logits > own) | ((logits == own) & (index < labels[:, None]))  # (B, C)
        hit = (before.sum(dim=1) < self.top_k).long()
        cells = labels * self.num_classes + logits.argmax(dim=1)
        # Not bincount: its result would be another C x C matrix for every batch.
        self.matrix.view(-1).index_add_(0, cells.cpu(), torch.ones(len(labels), dtype=torch.int64))
        self.hits.index_add_(0, labels.cpu(), hit.cpu())

    def __add__(self, other: "Tally") -> "Tally":
        """Return the tally of both sets of samples.

        Raises:
            ShapeError: The two differ in classes or in ``top_k``.
        """
        if (self.num_classes, self.top_k) != (other.num_classes, other.top_k):
            raise ShapeError(
                f"One tally has {self.num_classes} classes and top_k {self.top_k}, the other "
                f"{other.num_classes} and {other.top_k}. Expected the same of both. Evaluate both "
                "parts with one model and one configuration."
            )
        return Tally(self.matrix + other.matrix, self.hits + other.hits, self.top_k)

    def _check(self, logits: Tensor, labels: Tensor) -> None:
        if labels.ndim != 1 or logits.shape != (len(labels), self.num_classes):
            raise ShapeError(
                f"Logits have shape {tuple(logits.shape)} and labels {tuple(labels.shape)}. "
                f"Expected (B, {self.num_classes}) and (B,). Evaluate the model on the classes "
                "that it was trained for, in batches."
            )
        outside = labels[(labels < 0) | (labels >= self.num_classes)]
        if len(outside):
            raise ShapeError(
                f"Label {int(outside[0])} is out of range. Expected 0 to {self.num_classes - 1}. "
                "Number the classes of this split in the order of the training split's."
            )
        broken = int(logits.isnan().any(dim=1).sum())
        if broken:
            raise DataError(
                f"The class scores of {broken} of {len(labels)} samples are NaN. Expected numbers. "
                "Train again with a lower learning rate, or check the weights and the images."
            )


def _zeros(num_classes: int) -> Tensor:
    """Return zeros of shape ``(C, C)``, int64, which take memory only where they are written to.

    Neither torch.zeros nor numpy.zeros does that: one fills the memory, the other asks for huge
    pages.
    """
    size = 8 * num_classes**2
    if sys.platform == "win32":
        pages = mmap.mmap(-1, size)
    else:  # of shared pages, the default, even reading would take memory
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(pages, dtype=torch.int64).view(num_classes, num_classes)
