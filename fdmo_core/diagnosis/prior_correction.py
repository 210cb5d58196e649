"""What logit adjustment gives on held-out scores, with its strength chosen on others of them."""

import torch
from torch import Tensor

from fdmo_core.imbalance import log_priors
from fdmo_core.strength import best_strength

FOLDS = 5
STRENGTHS = tuple(round(-1 + 0.05 * step, 2) for step in range(81))  # as 'logit-adjustment' has it


def choose_strength(logits: Tensor, labels: Tensor, class_counts: Tensor) -> float:
    """Return the tau of ``logits - tau * log prior`` with the largest mean recall of the classes.

    Of several the one nearest to 1, where theory puts it.

    Source: Menon et al. 2021, post-hoc logit adjustment.

    Args:
        logits: Shape ``(N, C)``.
        labels: Shape ``(N,)``, int64, of at least one row.
        class_counts: Training images per class. Shape ``(C,)``, int64.
    """
    prior = log_priors(class_counts)
    return best_strength(
        STRENGTHS,
        lambda strength: logits - strength * prior,
        labels,
        criterion="acsa",
        num_classes=len(class_counts),
        nearest_to=1.0,
    ).value


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
    folds, prior = deal_folds(labels, rng), log_priors(class_counts)
    predicted = logits.argmax(dim=1)
    for fold in folds.unique().tolist():
        own, others = folds == fold, folds != fold
        if others.any():
            strength = choose_strength(logits[others], labels[others], class_counts)
            predicted[own] = (logits[own] - strength * prior).argmax(dim=1)
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
