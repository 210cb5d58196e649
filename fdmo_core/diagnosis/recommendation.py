"""From figures to a recommendation in words, with what speaks for it and against it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fdmo_core.diagnosis.gains import Interval
from fdmo_core.diagnosis.prior import Prior
from fdmo_core.diagnosis.remedies import PRIOR_CORRECTION, Remedy
from fdmo_core.diagnosis.separability import Separability

FEW_ROWS = 10  # of a class in validation; below it one image is more than ten points of its recall
MILD_RATIO = 1.5  # below it the prior moves a score by less than log 1.5
OVER_FITTED = 0.05  # difference of mean recalls from which it is said


@dataclass(frozen=True)
class Recommendation:
    """What to do.

    Attributes:
        verdict: A sentence or two.
        evidence: Sentences that speak for it.
        cautions: Sentences on what the figures cannot tell.
    """

    verdict: str
    evidence: tuple[str, ...]
    cautions: tuple[str, ...]


def recommend(
    class_names: Sequence[str],
    prior: Prior,
    validation_counts: Tensor,
    separability: Separability,
    remedies: Sequence[Remedy],
) -> Recommendation:
    """Return the recommendation that follows from the figures.

    A remedy is recommended only if the interval of its gain in ACSA lies above zero. Prior
    correction trains nothing, so another remedy must be better than it by such an interval too.

    Args:
        class_names: In label order.
        prior: Of the training split.
        validation_counts: Rows per class. Shape ``(C,)``, int64.
        separability: On training and on validation features.
        remedies: Prior correction first; empty where the classes are of equal size.
    """
    evidence = [
        f"Training images per class differ by up to {prior.imbalance_ratio:.3g} times; "
        f"{len(class_names)} classes amount to {prior.effective_classes:.1f} equal ones."
    ]
    evidence += [_gain_sentence(one) for one in remedies]
    evidence += _overfitting_sentences(class_names, separability)
    return Recommendation(
        _verdict(prior, remedies),
        tuple(evidence),
        tuple(_cautions(class_names, prior, validation_counts)),
    )


def _verdict(prior: Prior, remedies: Sequence[Remedy]) -> str:
    helping = [one for one in remedies if one.gain.acsa_interval[0] > 0]
    if not remedies:
        return "All classes have equally many training images, so there is nothing to correct."
    if not helping:
        mild = prior.imbalance_ratio < MILD_RATIO
        reason = "the imbalance is mild" if mild else "the validation split may be too small"
        return (
            f"No remedy is told apart from phase 1 on validation; {reason}. Keep phase 1's "
            f"classifier, or try again with more validation images."
        )
    better = [
        one
        for one in helping
        if one.over_correction is not None and one.over_correction.acsa_interval[0] > 0
    ]
    corrects = [one for one in helping if one.name == PRIOR_CORRECTION]
    chosen = max(better or corrects or helping, key=lambda one: one.gain.acsa)
    if better:
        why = "It is better than prior correction by an interval above zero."
    elif corrects:
        why = "Nothing that trains the classifier again is told apart as better, and it costs none."
    else:
        why = "It is the only kind of remedy that is told apart from phase 1."
    return f"Use {chosen.name}: set {chosen.choice}. {why}"


def _gain_sentence(remedy: Remedy) -> str:
    gain = remedy.gain
    text = (
        f"{remedy.name.capitalize()} gives {_points(gain.acsa, gain.acsa_interval)} points of ACSA "
        f"on validation, {_points(gain.geometric_mean, gain.geometric_mean_interval)} of the "
        f"geometric mean"
    )
    over = remedy.over_correction
    if over is not None:
        text += f"; against prior correction {_points(over.acsa, over.acsa_interval)} of ACSA"
    return f"{text}."


def _points(value: float, interval: Interval) -> str:
    low, high = interval
    return f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _overfitting_sentences(class_names: Sequence[str], separability: Separability) -> list[str]:
    means = _means(separability.recall)
    if means is None or means[0] - means[1] < OVER_FITTED:
        return []
    training, held_out = separability.recall
    worst = int((training - held_out).nan_to_num(nan=-torch.inf).argmax())
    sentence = (
        f"Phase 1 knows its training images by heart: it recognises {_percent(means[0])} of them "
        f"and {_percent(means[1])} of the validation images (means over classes), most so in class "
        f"'{class_names[worst]}', {_percent(training[worst])} and {_percent(held_out[worst])}."
    )
    own = _means(separability.nearest_mean)
    if own is not None:
        sentence += (
            f" Of the features themselves, nearest class means recognise {_percent(own[0])} and "
            f"{_percent(own[1])}."
        )
    return [
        f"{sentence} Whatever is trained on such features again meets an easier problem than new "
        f"images are; rebalancer 'crossfit' trains on features of models that never saw their "
        f"image."
    ]


def _means(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor] | None:
    """Return the means over the classes of which both figures are known; None if there is none."""
    known = ~(pair[0].isnan() | pair[1].isnan())
    return (pair[0][known].mean(), pair[1][known].mean()) if known.any() else None


def _percent(share: Tensor) -> str:
    return f"{100 * float(share):.0f} %"


def _cautions(class_names: Sequence[str], prior: Prior, validation_counts: Tensor) -> list[str]:
    cautions = [
        f"Class '{class_names[label]}' has no training image, so no remedy can find it."
        for label in prior.empty_classes
    ]
    counts = validation_counts.tolist()
    absent = [name for name, count in zip(class_names, counts, strict=True) if count == 0]
    if absent:
        cautions.append(f"No validation image of: {', '.join(absent)}. No figure speaks of them.")
    few = [
        f"{count} in class '{name}'"
        for name, count in sorted(zip(class_names, counts, strict=True), key=lambda one: one[1])
        if 0 < count < FEW_ROWS
    ]
    if few:
        cautions.append(
            f"You have only {', '.join(few)} as validation images: one of them is more than "
            f"{100 // FEW_ROWS} points of its class's recall, and the intervals are too narrow."
        )
    return cautions
