"""What logit adjustment gives on held-out scores, with its strength chosen on others of them."""

import torch
from torch import Tensor

FOLDS = 5
STRENGTHS = tuple(0.1 * step for step in range(31))  # 0 to 3; 1 is the theory's


def adjusted_logits(logits: Tensor, class_counts: Tensor, strength: float) -> Tensor:
    """Return ``logits - strength * log prior``; a class without a training image gets -inf.

    Source: Menon et al. 2021, post-hoc logit adjustment.

    Args:
        logits: Shape ``(N, C)``.
        class_counts: Training images per class. Shape ``(C,)``, int64.
        strength: tau.

    Returns:
        Shape ``(N, C)``, float64.
    """
    counts = class_counts.double()
    lowered = logits.double() - strength * (counts / counts.sum()).log()
    return lowered.masked_fill(counts == 0, -torch.inf)


def choose_strength(logits: Tensor, labels: Tensor, class_counts: Tensor) -> float:
    """Return the strength with the largest mean recall over the classes, of several the smallest.

    Args:
        logits: Shape ``(N, C)``.
        labels: Shape ``(N,)``, int64, of at least one row.
        class_counts: Training images per class. Shape ``(C,)``, int64.
    """
    weights = 1 / labels.bincount(minlength=len(class_counts)).double()[labels]  # (N,)
    right = [
        (adjusted_logits(logits, class_counts, one).argmax(dim=1) == labels).double() @ weights
        for one in STRENGTHS
    ]
    return STRENGTHS[int(torch.stack(right).argmax())]


def cross_validated_predictions(
    logits: Tensor, labels: Tensor, class_counts: Tensor, *, rng: torch.Generator
) -> Tensor:
    """Return the adjusted prediction of each row, by a strength chosen on the other folds.

    Each class's rows are dealt to five folds in turn, after a shuffle. A single row is predicted
    without adjustment, since no other can choose a strength for it.

    Args:
        logits: Shape ``(N, C)``.
        labels: Shape ``(N,)``, int64.
        class_counts: Training images per class. Shape ``(C,)``, int64.
        rng: Source of randomness, on the CPU.

    Returns:
        Shape ``(N,)``, int64.
    """
    folds = deal_folds(labels, rng)
    predicted = logits.argmax(dim=1)
    for fold in folds.unique().tolist():
        own, others = folds == fold, folds != fold
        if others.any():
            strength = choose_strength(logits[others], labels[others], class_counts)
            predicted[own] = adjusted_logits(logits[own], class_counts, strength).argmax(dim=1)
    return predicted


def deal_folds(labels: Tensor, rng: torch.Generator) -> Tensor:
    """Return the fold of each row, in [0, 5); those of a class are spread evenly.

    Args:
        labels: Shape ``(N,)``, int64.
        rng: Source of randomness, on the CPU.

    Returns:
        Shape ``(N,)``, int64.
    """
    order = torch.randperm(len(labels), generator=rng)
    by_class = order[labels[order].argsort(stable=True)]
    folds = torch.empty_like(labels)
    folds[by_class] = torch.arange(len(labels)) % FOLDS
    return folds
