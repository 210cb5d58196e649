"""Fixed points of each class, in place of those that every step draws afresh."""

import torch
from torch import Tensor, nn

from fdmo_core import DrawnFeatures


class Anchors(nn.Module):
    """The rows that the features of each class are mixed from, the same at every step.

    Source: Mullick et al. 2019 (GAMO), whose points are all rows of the class. A class with at
    most S rows has all of them here too.

    Args:
        num_classes: C.
        samples_per_class: S.
    """

    rows: Tensor
    mask: Tensor

    def __init__(self, *, num_classes: int, samples_per_class: int) -> None:
        super().__init__()
        rows = torch.zeros(num_classes, samples_per_class, dtype=torch.int64)
        self.register_buffer("rows", rows)
        self.register_buffer("mask", torch.zeros_like(rows, dtype=torch.bool))

    def choose(self, labels: Tensor) -> None:
        """Choose up to S rows of every class, by PyTorch's generator, as initial weights are.

        Args:
            labels: The class of each row of the store. Shape ``(N,)``, int64.
        """
        num_classes, samples_per_class = self.rows.shape
        for label in range(num_classes):
            own = torch.nonzero(labels == label).flatten()
            chosen = own[torch.randperm(len(own))[:samples_per_class].to(own.device)]
            self.rows[label] = chosen[0] if len(chosen) else 0  # padding
            self.rows[label, : len(chosen)] = chosen
            self.mask[label] = torch.arange(samples_per_class) < len(chosen)

    def sets(self, labels: Tensor, store: Tensor) -> DrawnFeatures:
        """Return the anchors of the labels' classes as if they had been drawn.

        Args:
            labels: Shape ``(B,)``, int64.
            store: All features. Shape ``(N, F)``.
        """
        classes, groups = labels.unique(return_inverse=True)
        return DrawnFeatures(store, self.rows[classes], self.mask[classes], groups)
