"""Whether a method's average class accuracy differs from the baseline's, by more than chance."""

import math
from dataclasses import dataclass
from statistics import NormalDist, variance

import numpy as np
from numpy.typing import NDArray

from fdmo_core.averages import average_class_accuracy
from fdmo_core.comparison.pairs import Correct, Labels, Pair
from fdmo_core.comparison.probabilities import normal_p_value
from fdmo_core.estimates import student_p_value

ROUNDING = 1e-9  # 31.9999999999 is 32
MOST_DEGREES = 1000  # beyond, Student's t is the normal distribution to 3 digits
SIGNIFICANCE = 0.05
POWER = 0.8


@dataclass(frozen=True)
class Difference:
    """The difference in ACSA between a method and the baseline, and what chance makes of it.

    Attributes:
        mean: Over the seeds; positive where the method is better.
        seed_variance: Of the mean, from the spread between seeds; None with one seed.
        image_variance: Of the mean, from the choice of the test images.
        class_variances: What an image of each class contributes to the latter; NaN where the
            class has no test image. Shape ``(C,)``.
        class_sizes: Independent test images per class. Shape ``(C,)``.
        num_seeds: S.
        same_images: As in :class:`~fdmo_core.comparison.pairs.Pair`.
    """

    mean: float
    seed_variance: float | None
    image_variance: float
    class_variances: NDArray[np.float64]
    class_sizes: NDArray[np.int64]
    num_seeds: int
    same_images: bool

    @property
    def variance(self) -> float:
        """Of the mean. Where each seed has its own images, the seeds' spread holds both chances."""
        if self.seed_variance is None:
            return self.image_variance
        return self.seed_variance + (self.image_variance if self.same_images else 0.0)

    @property
    def p_value(self) -> float:
        """How likely a difference so large is where there is none; two-sided.

        Degrees of freedom are Satterthwaite's, rounded down; the image part has so many that it
        counts as known.
        """
        if self.mean == 0:
            return 1.0
        statistic = self.mean / math.sqrt(self.variance)
        if not self.seed_variance:
            return normal_p_value(statistic)
        degrees = (self.num_seeds - 1) * (self.variance / self.seed_variance) ** 2
        return student_p_value(statistic, int(min(degrees, MOST_DEGREES) + ROUNDING))


def compare_pair(pair: Pair) -> Difference:
    """Return the difference in ACSA with its variance over seeds and over test images.

    With d the gain of an image (see :meth:`Pair.gains`), n_c the images of class c, and C classes:

    - over images: ``sum over c of s_c**2 / n_c / C**2``, where ``s_c**2`` is the variance of d in
      class c with two images added, on which the two agree and disagree in equal parts, so that
      a class of few images on which both agree is not taken for certain;
    - over seeds: the sample variance of the difference, divided by S.

    Source: stratified sampling; the added images are those of Agresti and Min 2005, half a one
    for each of the four outcomes of a pair. To add both variances counts twice what seeds and
    images have in common, which errs towards "no difference".
    """
    by_seed = [
        float(_acsa(ours, labels, pair.num_classes) - _acsa(theirs, labels, pair.num_classes))
        for ours, theirs, labels in zip(pair.ours, pair.theirs, pair.labels, strict=True)
    ]
    gains, labels = pair.gains()
    sizes = np.bincount(labels, minlength=pair.num_classes)
    padded = np.where(sizes > 0, sizes + 2.0, np.nan)
    means = np.bincount(labels, gains, minlength=pair.num_classes) / padded
    squares = (np.bincount(labels, gains**2, minlength=pair.num_classes) + 1) / padded
    spreads = squares - means**2
    present = sizes > 0
    seeds = pair.num_seeds
    return Difference(
        mean=float(np.mean(by_seed)),
        seed_variance=variance(by_seed) / seeds if seeds > 1 else None,
        image_variance=float((spreads[present] / sizes[present]).sum() / present.sum() ** 2),
        class_variances=spreads,
        class_sizes=sizes,
        num_seeds=seeds,
        same_images=pair.same_images,
    )


def _acsa(correct: Correct, labels: Labels, num_classes: int) -> NDArray[np.float64]:
    return average_class_accuracy(class_recalls(correct, labels, num_classes))


def class_recalls(correct: Correct, labels: Labels, num_classes: int) -> NDArray[np.float64]:
    """Return the recall of each class that has an image, in label order."""
    sizes = np.bincount(labels, minlength=num_classes)
    hits = np.bincount(labels, correct, minlength=num_classes)
    recalls: NDArray[np.float64] = hits[sizes > 0] / sizes[sizes > 0]
    return recalls


@dataclass(frozen=True)
class Need:
    """What it would take to tell a difference of the size that was seen.

    Attributes:
        label: The class whose test images leave most open.
        images: How many of them there are.
        images_per_class: How many of every class would do with these seeds; None where no number
            would, for the seeds differ too much.
        seeds: How many seeds would do with these images; None where no number would.
    """

    label: int
    images: int
    images_per_class: int | None
    seeds: int | None


def need_for(
    difference: Difference, *, significance: float = SIGNIFICANCE, power: float = POWER
) -> Need | None:
    """Return what a test of one pair would need to find the difference with a given power.

    The standard error must be at most ``|mean| / (z(1 - significance / 2) + z(power))``. With n
    test images in every class the images' part of its square is ``sum of s_c**2 / (n * C**2)``,
    with S seeds the seeds' part is ``variance between seeds / S``; n or S follows with the other
    part as it is.

    Source: the usual normal approximation, as Connor 1987 has it for paired proportions.

    Args:
        difference: What was seen; None comes back where it is 0.
        significance: Two-sided, of a single comparison.
        power: Probability of finding it.
    """
    if difference.mean == 0:
        return None
    normal = NormalDist()
    allowed = (
        difference.mean / (normal.inv_cdf(1 - significance / 2) + normal.inv_cdf(power))
    ) ** 2
    present = np.flatnonzero(difference.class_sizes)
    spreads = difference.class_variances[present]
    shares = spreads / difference.class_sizes[present]
    widest = int(present[shares.argmax()])
    seeds_part = difference.variance - difference.image_variance
    per_image = float(spreads.sum() / len(present) ** 2)
    if not difference.same_images:
        per_image /= difference.num_seeds
    return Need(
        label=widest,
        images=int(difference.class_sizes[widest]),
        images_per_class=_at_least(per_image, allowed - max(seeds_part, 0.0)),
        seeds=_seeds_needed(difference, allowed),
    )


def _seeds_needed(difference: Difference, allowed: float) -> int | None:
    if difference.seed_variance is None:
        return None
    fixed = difference.image_variance if difference.same_images else 0.0
    return _at_least(difference.seed_variance * difference.num_seeds, allowed - fixed)


def _at_least(amount: float, room: float) -> int | None:
    """Return the least whole number that ``amount`` can be divided by to fit into ``room``."""
    return max(1, math.ceil(amount / room)) if room > 0 else None
