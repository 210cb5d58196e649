"""How many images, or seeds, a difference would need."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from fdmo_core.comparison.differences import Difference
from fdmo_core.comparison.power import need_for

SIZES = np.array([40, 25, 0, 6])
SPREADS = np.array([0.10, 0.04, np.nan, 0.05])
SEEN = Difference(
    mean=0.02,
    seed_variance=2e-6,
    image_variance=float(np.nansum(SPREADS[SIZES > 0] / SIZES[SIZES > 0])) / 9,
    class_variances=SPREADS,
    class_sizes=SIZES,
    num_seeds=5,
    same_images=True,
)


def power(mean: float, seeds_part: float, images_part: float, seeds: int, level: float) -> float:
    """Return the power by scipy: the statistic is shifted by the true difference."""
    total = seeds_part + images_part
    degrees = math.floor(min((seeds - 1) * (total / seeds_part) ** 2, 1000))
    critical = stats.t.ppf(1 - level / 2, degrees)
    return float(stats.norm.sf(critical - mean / math.sqrt(total)))


def images_part(number: int) -> float:
    """Return the variance with at least so many images in every class."""
    parts = [(0.10, 40), (0.04, 25), (0.05, 6)]
    return sum(spread / max(number, size) for spread, size in parts) / 9


@pytest.mark.parametrize("comparisons", [1, 20])
def test_with_so_many_images_the_power_is_reached_and_with_one_fewer_it_is_not(
    comparisons: int,
) -> None:
    need = need_for(SEEN, comparisons=comparisons)

    assert need is not None
    assert need.images_per_class is not None
    level = 0.05 / comparisons
    found, before = (
        power(0.02, 2e-6, images_part(number), 5, level)
        for number in (need.images_per_class, need.images_per_class - 1)
    )
    assert before < 0.8 <= found


def test_with_so_many_seeds_the_power_is_reached_and_with_one_fewer_it_is_not() -> None:
    seen = replace(SEEN, seed_variance=2e-4, image_variance=1e-6)

    need = need_for(seen)

    assert need is not None
    assert need.seeds is not None
    found, before = (
        power(0.02, 1e-3 / number, 1e-6, number, 0.05) for number in (need.seeds, need.seeds - 1)
    )
    assert before < 0.8 <= found


def test_a_difference_among_many_methods_needs_more() -> None:
    alone, among_many = need_for(SEEN), need_for(SEEN, comparisons=40)

    assert alone is not None
    assert among_many is not None
    assert (among_many.images_per_class or 0) > (alone.images_per_class or 0) > 0


def test_the_class_that_is_named_leaves_most_open() -> None:
    need = need_for(SEEN)

    assert need is not None
    assert (need.label, need.images) == (3, 6)


def test_images_of_each_seed_s_own_count_in_the_seeds_part() -> None:
    seen = replace(SEEN, same_images=False, seed_variance=SEEN.image_variance + 1e-6)

    own, shared = need_for(seen), need_for(SEEN)

    assert own is not None
    assert own.images_per_class is not None
    assert shared is not None
    assert shared.images_per_class is not None
    assert own.images_per_class < shared.images_per_class  # five seeds bring five times as many


def test_what_images_cannot_make_up_for_seeds_can_and_the_reverse() -> None:
    by_images = need_for(replace(SEEN, mean=0.01, seed_variance=1e-9, image_variance=1.0))
    by_seeds = need_for(replace(SEEN, mean=0.01, seed_variance=1.0, image_variance=1e-9))

    assert by_images is not None
    assert by_images.seeds is None
    assert by_images.images_per_class is not None
    assert by_seeds is not None
    assert by_seeds.images_per_class is None


def test_one_seed_cannot_tell_how_many_would_do() -> None:
    need = need_for(replace(SEEN, seed_variance=None, num_seeds=1))

    assert need is not None
    assert need.seeds is None
    assert need.images_per_class is not None


def test_no_difference_needs_nothing() -> None:
    assert need_for(replace(SEEN, mean=0.0)) is None


def test_images_do_not_make_up_for_two_seeds_that_differ() -> None:
    seen = replace(SEEN, mean=0.65, seed_variance=2e-3, num_seeds=2)

    need = need_for(seen, comparisons=7)

    assert seen.p_value * 7 > 0.05
    assert need is not None
    assert need.images_per_class is None
    assert need.seeds is not None
    assert need.seeds > 2
