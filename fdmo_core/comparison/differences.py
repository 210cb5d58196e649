"""Whether a method's average class accuracy differs from the baseline's, by more than chance."""

import math
from dataclasses import dataclass
from statistics import variance

import numpy as np
from numpy.typing import NDArray

from fdmo_core.averages import average_class_accuracy
from fdmo_core.comparison.pairs import Correct, Labels, Pair
from fdmo_core.comparison.probabilities import normal_p_value
from fdmo_core.estimates import student_p_value

ROUNDING = 1e-9  # 31.9999999999 is 32
MOST_DEGREES = 1000  # beyond, Student's t is the normal distribution to 3 digits
SIGNIFICANCE = 0.05


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
        """How likely a difference so large is where there is none; two-sided."""
        if self.mean == 0:
            return 1.0
        return self.tail(self.mean / math.sqrt(self.variance))

    def tail(self, statistic: float) -> float:
        """Return how likely the mean is so many standard errors from 0 by chance, on either side.

        Degrees of freedom are Satterthwaite's, rounded down; the image part has so many that it
        counts as known.
        """
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
