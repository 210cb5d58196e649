"""How well classes are told apart on training features, against features of held-out images.

Phase 1 has learned its training images by heart, so their features lie further apart than those
of new images. A generator that mixes them, and a classifier that is fine-tuned on them, meets a
problem that is easier than the real one. How much easier is what is measured here.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fdmo_core.interfaces import LabelledFeatures


@dataclass(frozen=True)
class Separability:
    """A figure of each class on training features and on held-out ones; NaN where it has no row.

    Attributes:
        recall: Of phase 1's classifier. Shapes ``(C,)``, float64, training and held out.
        margin: Median of the class's score minus the best other one. Shapes ``(C,)``.
        nearest_mean: Recall of the nearest class mean. Shapes ``(C,)``. It knows no prior, so it is
            the features' own.
    """

    recall: tuple[Tensor, Tensor]
    margin: tuple[Tensor, Tensor]
    nearest_mean: tuple[Tensor, Tensor]


@torch.no_grad()
def measure_separability(
    train: LabelledFeatures, held_out: LabelledFeatures, classifier: nn.Module, *, num_classes: int
) -> Separability:
    """Return how well classes are told apart on both sets of features.

    Args:
        train: What the classifier learned from.
        held_out: What it did not.
        classifier: Of phase 1.
        num_classes: C.
    """
    figures = [
        _figures(margins_of(classifier(features), labels), labels, num_classes)
        for features, labels in (train, held_out)
    ]
    recalls, medians = zip(*figures, strict=True)
    return Separability(
        recall=(recalls[0], recalls[1]),
        margin=(medians[0], medians[1]),
        nearest_mean=(
            nearest_mean_recalls(train, num_classes=num_classes),
            nearest_mean_recalls(held_out, means_of=train, num_classes=num_classes),
        ),
    )


def _figures(margins: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return recall and median margin of each class; NaN where it has no row."""
    recalls = _by_class((margins > 0).double(), labels, num_classes)
    found = [margins[labels == label] for label in range(num_classes)]
    medians = [one.quantile(0.5) if len(one) else one.new_tensor(torch.nan) for one in found]
    return recalls, torch.stack(medians)


def margins_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Return each row's score of its class minus the best other one; above 0 if it is recognised.

    Args:
        logits: Shape ``(N, C)``, C at least 2.
        labels: Shape ``(N,)``, int64.

    Returns:
        Shape ``(N,)``, float64.
    """
    logits = logits.double()
    own = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
    others = logits.scatter(1, labels.unsqueeze(1), -torch.inf)
    return own - others.amax(dim=1)


def nearest_mean_recalls(
    rows: LabelledFeatures, *, num_classes: int, means_of: LabelledFeatures | None = None
) -> Tensor:
    """Return each class's share of rows that are nearer to its mean than to any other.

    A row that is part of the means is left out of its own class's mean: with n rows in the class
    its distance to the mean of the others is ``n / (n - 1)`` times that to the mean of all. A class
    of one row then has no mean, and no recall.

    Args:
        rows: Whose recalls.
        num_classes: C.
        means_of: What the means are of; None for the rows themselves, left out in turn.

    Returns:
        Shape ``(C,)``, float64; NaN for a class without rows or without a mean.
    """
    learned = rows if means_of is None else means_of
    sizes = learned.labels.bincount(minlength=num_classes).double()  # (C,)
    means = torch.zeros(num_classes, learned.features.shape[1], dtype=torch.float64)
    means.index_add_(0, learned.labels, learned.features.double())
    means /= sizes.clamp_min(1).unsqueeze(1)
    distances = torch.cdist(rows.features.double(), means)  # (N, C)
    distances[:, sizes == 0] = torch.inf
    if means_of is None:
        factor = sizes / (sizes - 1)  # infinite where a row is its class
        own = distances.gather(1, rows.labels.unsqueeze(1)) * factor[rows.labels].unsqueeze(1)
        distances = distances.scatter(1, rows.labels.unsqueeze(1), own)
    recalls = _by_class((distances.argmin(dim=1) == rows.labels).double(), rows.labels, num_classes)
    return recalls.where(sizes > (1 if means_of is None else 0), torch.nan)


def _by_class(values: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Return the mean of each class; NaN where it has no row."""
    sums = torch.zeros(num_classes, dtype=torch.float64).index_add_(0, labels, values)
    return sums / labels.bincount(minlength=num_classes)
