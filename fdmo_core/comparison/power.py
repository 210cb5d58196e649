"""How many test images, or seeds, it would take to tell a difference of the size that was seen."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from fdmo_core.comparison.differences import SIGNIFICANCE, Difference

POWER = 0.8
MOST_IMAGES = 10**7  # of a class
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Need:
    """What it would take to tell a difference of the size that was seen.

    Attributes:
        label: The class whose test images leave most open.
        images: How many of them there are.
        images_per_class: How many of every class would do with these seeds; None where no number
            would, for the seeds differ too much.
        seeds: How many seeds would do with these images; None where no number would, or where one
            seed cannot tell how much seeds differ.
    """

    label: int
    images: int
    images_per_class: int | None
    seeds: int | None


def need_for(
    difference: Difference,
    *,
    comparisons: int = 1,
    significance: float = SIGNIFICANCE,
    power: float = POWER,
) -> Need | None:
    """Return what the test would need to find the difference with a given power.

    With n images in every class the images' part of the variance becomes ``sum of s_c**2 / (n *
    C**2)``, with S seeds the seeds' part ``variance between seeds / S``. The least n, or S, is
    returned for which ``|mean| / standard error - z(power)`` has a p-value of at most
    ``significance / comparisons``, by the test and the degrees of freedom of
    :class:`~fdmo_core.comparison.differences.Difference`.

    Source: the usual approximation of power by a shifted statistic, as Connor 1987 has it for
    paired proportions; here with stratified variances and Student's t.

    Args:
        difference: What was seen; None comes back where it is 0.
        comparisons: Among how many methods it must stand out (Bonferroni; Holm asks for no more).
        significance: Of the whole comparison, two-sided.
        power: Probability of finding it.
    """
    if difference.mean == 0:
        return None
    shift, level = NormalDist().inv_cdf(power), significance / comparisons

    def is_found(one: Difference) -> bool:
        statistic = abs(one.mean) / math.sqrt(one.variance) - shift
        return statistic > 0 and one.tail(statistic) <= level

    present = np.flatnonzero(difference.class_sizes)
    shares = difference.class_variances[present] / difference.class_sizes[present]
    widest = int(present[shares.argmax()])
    return Need(
        label=widest,
        images=int(difference.class_sizes[widest]),
        images_per_class=_least(
            lambda number: is_found(_with_images(difference, number)), MOST_IMAGES
        ),
        seeds=None
        if difference.seed_variance is None
        else _least(lambda number: is_found(_with_seeds(difference, number)), MOST_SEEDS),
    )


def _with_images(difference: Difference, number: int) -> Difference:
    """Return the difference as it would be with so many test images in every class and seed."""
    spreads = difference.class_variances[difference.class_sizes > 0]
    images = float(spreads.sum()) / number / len(spreads) ** 2
    if difference.same_images or difference.seed_variance is None:
        return replace(difference, image_variance=images)
    images /= difference.num_seeds
    rest = max(0.0, difference.seed_variance - difference.image_variance)
    return replace(difference, image_variance=images, seed_variance=rest + images)


def _with_seeds(difference: Difference, number: int) -> Difference:
    """Return the difference as it would be with so many seeds."""
    assert difference.seed_variance is not None
    seeds = difference.seed_variance * difference.num_seeds / number
    return replace(difference, seed_variance=seeds, num_seeds=max(number, 2))


def _least(is_enough: Callable[[int], bool], most: int) -> int | None:
    """Return the least number that is enough, or None if none up to ``most`` is."""
    above = 1
    while not is_enough(above):
        above *= 2
        if above > most:
            return None
    below = above // 2
    while above - below > 1:
        middle = (above + below) // 2
        below, above = (below, middle) if is_enough(middle) else (middle, above)
    return above
