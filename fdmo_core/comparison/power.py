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
        images: How many of them each seed has.
        images_per_class: How many at least of every class would do with these seeds; None where no
            number would, for the seeds differ too much.
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

    With at least n images in every class the images' part of the variance becomes ``sum over c of
    s_c**2 / max(n, n_c) / C**2``, with S seeds the seeds' part ``variance between seeds / S``. The
    least n, or S, above what is there is returned for which ``|mean| / standard error - z(power)``
    has a p-value of at most ``significance / comparisons``, by the test and the degrees of freedom
    of :class:`~fdmo_core.comparison.differences.Difference`.

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

    def with_images(number: int) -> bool:
        return is_found(_with_images(difference, number))

    def with_seeds(number: int) -> bool:
        return is_found(_with_seeds(difference, number))

    present = np.flatnonzero(difference.class_sizes)
    shares = difference.class_variances[present] / difference.class_sizes[present]
    widest = int(present[shares.argmax()])
    images = int(difference.class_sizes[widest]) // _image_sets(difference)
    seeds = difference.num_seeds
    return Need(
        label=widest,
        images=images,
        images_per_class=_least(with_images, above=images, most=MOST_IMAGES),
        seeds=None if seeds == 1 else _least(with_seeds, above=seeds, most=MOST_SEEDS),
    )


def _with_images(difference: Difference, number: int) -> Difference:
    """Return the difference as it would be with at least so many test images a class and seed."""
    present = difference.class_sizes > 0
    sizes = np.maximum(difference.class_sizes[present], number * _image_sets(difference))
    images = float((difference.class_variances[present] / sizes).sum() / len(sizes) ** 2)
    if difference.same_images or difference.seed_variance is None:
        return replace(difference, image_variance=images)
    rest = max(0.0, difference.seed_variance - difference.image_variance)
    return replace(difference, image_variance=images, seed_variance=rest + images)


def _image_sets(difference: Difference) -> int:
    """Return how many sets of test images there are: one for all seeds, or one for each."""
    return 1 if difference.same_images else difference.num_seeds


def _with_seeds(difference: Difference, number: int) -> Difference:
    """Return the difference as it would be with so many seeds."""
    assert difference.seed_variance is not None
    seeds = difference.seed_variance * difference.num_seeds / number
    return replace(difference, seed_variance=seeds, num_seeds=max(number, 2))


def _least(is_enough: Callable[[int], bool], *, above: int, most: int) -> int | None:
    """Return the least number above what is there that is enough; None if none to ``most`` is."""
    low, high = above, above + 1
    while not is_enough(high):
        low, high = high, 2 * high
        if high > most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
