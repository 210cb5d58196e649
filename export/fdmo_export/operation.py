"""What an application can turn: the prior that scores stand for, and thresholds of certainty."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fdmo_core.imbalance import log_priors
from fdmo_core.strength import best_strength
from fdmo_export.validation import Scored

STRENGTHS = tuple(step / 20 for step in range(-10, 31))
PRECISION = 0.9  # share of answers above a threshold that are right
FEWEST_ANSWERS = 10  # of a class, below which no threshold is given


class SourcePrior(NamedTuple):
    """How frequent a network's scores take each class to be.

    Attributes:
        probabilities: Sum to 1. Shape ``(C,)``, float32, positive.
        strength: They are the training prior to this power; 0 is equal frequency.
        images: Validation images that it was measured on; 0 where it is assumed.
    """

    probabilities: Tensor
    strength: float
    images: int

    def as_dict(self) -> dict[str, Any]:
        """Return the prior as plain data."""
        return {
            "source": self.probabilities.tolist(),
            "strength": self.strength,
            "images": self.images,
        }


def measure_prior(scored: Scored, class_counts: NDArray[np.int64]) -> SourcePrior:
    """Return how much of the training prior is in the scores.

    A network that was trained on few images of a class and not rebalanced expects few; one that
    was rebalanced expects all classes alike, more or less. The strength is the one whose removal
    makes the true classes likeliest, all classes counting alike. Without validation images it is
    assumed to be 0.

    Source: Menon et al. 2021, the post-hoc correction, here read backwards.

    Args:
        scored: Validation images.
        class_counts: Training images per class. Shape ``(C,)``, int64.
    """
    prior = log_priors(torch.from_numpy(class_counts))
    strength = 0.0
    if len(scored.labels):
        strength = best_strength(
            STRENGTHS,
            lambda one: scored.logits - one * prior,
            scored.labels,
            criterion="balanced-nll",
            num_classes=len(prior),
            nearest_to=0.0,
        ).value
    return SourcePrior((strength * prior).softmax(dim=0), strength, len(scored.labels))


def certain_above(scored: Scored, num_classes: int) -> dict[str, Any]:
    """Return for each class the probability from which on nine of ten answers are right.

    Every class has the same weight among the validation images, as if all were equally frequent.

    Args:
        scored: Validation images.
        num_classes: C.

    Returns:
        ``precision``, and ``probability``, a list of C numbers; None where no probability does,
        or fewer than ten images get that answer.
    """
    probabilities, answers = scored.logits.double().softmax(dim=1).max(dim=1)
    votes = 1 / scored.labels.bincount(minlength=num_classes)[scored.labels].double()
    is_right = answers == scored.labels
    thresholds = [
        _threshold(probabilities[own], is_right[own], votes[own])
        for own in (answers == label for label in range(num_classes))
    ]
    return {"precision": PRECISION, "probability": thresholds}


def _threshold(probabilities: Tensor, is_right: Tensor, votes: Tensor) -> float | None:
    if len(probabilities) < FEWEST_ANSWERS:
        return None
    order = probabilities.argsort(descending=True)
    right = (votes * is_right)[order].cumsum(0)
    good = (right / votes[order].cumsum(0) >= PRECISION).nonzero()
    return float(probabilities[order][good[-1, 0]]) if len(good) else None
