"""Chooses one number, such as the strength of a correction, on images that no model learned from.

Every class has the same say, however many held-out images it has: the images of a class share one
vote. A class without any has none.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from fdmo_core.errors import DataError
from fdmo_core.interfaces import HeldOutSource

Criterion = Literal["acsa", "balanced-nll"]
TIE = 1e-9  # scores closer than this differ by rounding alone
NEWTON_STEPS = 8
STEP_LIMIT = 4.0  # factor by which a Newton step may change the scale


class Strength(NamedTuple):
    """A number that was chosen, and on what.

    Attributes:
        value: The chosen candidate.
        score: What the criterion gives it; higher is better.
        criterion: Which one it is.
        class_sizes: Held-out images per class. Shape ``(C,)``, int64, on the CPU.
    """

    value: float
    score: float
    criterion: Criterion
    class_sizes: Tensor

    def describe(self, name: str, source: HeldOutSource) -> str:
        """Return a notice: what was chosen, on how many images, by what, and what had no say."""
        present = self.class_sizes[self.class_sizes > 0]
        by = {
            "acsa": f"average class accuracy, {self.score:.4f}",
            "balanced-nll": f"average log-likelihood of the classes, {self.score:.4f}",
        }
        text = (
            f"{name} = {self.value:g}, chosen on {int(present.sum()):,} {source} images by their "
            f"{by[self.criterion]}; the class with the fewest has {int(present.min())}."
        )
        num_absent = len(self.class_sizes) - len(present)
        if num_absent:
            text += f" {num_absent} of {len(self.class_sizes)} classes have none and had no say."
        return text


def best_strength(
    candidates: Sequence[float],
    logits_of: Callable[[float], Tensor],
    labels: Tensor,
    *,
    criterion: Criterion,
    num_classes: int,
    nearest_to: float,
) -> Strength:
    """Return the candidate that serves the held-out images best, all classes counting alike.

    ``acsa`` is what is wanted, but goes in steps: one image more of a class with four moves its
    recall by a quarter. Where several candidates are equally good, the one nearest to
    ``nearest_to`` is taken, of two as near the smaller. ``balanced-nll`` is smooth, but asks for
    good probabilities where only the ranking matters; so it is taken at the best temperature of
    each candidate, and neither over-confidence nor the size of the logits moves the choice.

    Args:
        candidates: At least one.
        logits_of: Returns the logits of the held-out images under a candidate, shape ``(N, C)``.
        labels: Their classes. Shape ``(N,)``, int64.
        criterion: What is good.
        num_classes: C.
        nearest_to: What decides between equals.

    Raises:
        DataError: There are no held-out images.
    """
    if not len(labels):
        raise DataError(
            "There are no held-out images to choose a strength on. Expected at least one. Give "
            "the data a validation split, or fix the strength."
        )
    sizes = labels.bincount(minlength=num_classes)
    votes = 1 / (sizes[labels].double() * (sizes > 0).sum())  # (N,), sum to 1
    score_of = {"acsa": _acsa, "balanced-nll": _log_likelihood}[criterion]
    scores = [score_of(logits_of(one), labels, votes) for one in candidates]
    best = max(scores)
    value, score = min(
        (one for one in zip(candidates, scores, strict=True) if one[1] >= best - TIE),
        key=lambda one: (round(abs(one[0] - nearest_to), 9), one[0]),
    )
    return Strength(value, score, criterion, sizes.cpu())


def _acsa(logits: Tensor, labels: Tensor, votes: Tensor) -> float:
    return float(votes[logits.argmax(dim=1) == labels].sum())


def _log_likelihood(logits: Tensor, labels: Tensor, votes: Tensor) -> float:
    """Return the mean log-probability of the true class at the best temperature.

    The negative is convex in the scale of the logits, so Newton's method finds it.
    """
    gaps = logits.double() - logits.double().gather(1, labels.unsqueeze(1))  # (N, C), 0 where true
    scale = gaps.new_ones(())
    for _ in range(NEWTON_STEPS):
        likely = (scale * gaps).softmax(dim=1)
        mean = (likely * gaps).sum(dim=1)  # (N,)
        slope = votes @ mean
        curvature = votes @ ((likely * gaps.square()).sum(dim=1) - mean.square())
        step = slope / curvature.clamp(min=torch.finfo(torch.float64).tiny)
        scale = (scale - step).clamp(min=scale / STEP_LIMIT, max=scale * STEP_LIMIT)
    return -float(votes @ (scale * gaps).logsumexp(dim=1))
