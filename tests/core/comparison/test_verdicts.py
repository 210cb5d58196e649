"""Verdicts in words."""

import numpy as np
import pytest

from fdmo_core.comparison.differences import Difference
from fdmo_core.comparison.verdicts import Verdict, explain, judge

NAMES = ("tee", "cape")


def difference(mean: float, **changes: float | None) -> Difference:
    values = {"seed_variance": 1e-6, "image_variance": 1e-4, **changes}
    return Difference(
        mean=mean,
        seed_variance=values["seed_variance"],
        image_variance=float(values["image_variance"] or 0),
        class_variances=np.array([0.02, 0.05]),
        class_sizes=np.array([100, 12]),
        num_seeds=5,
        same_images=True,
    )


@pytest.mark.parametrize(
    ("mean", "p_value", "verdict"),
    [
        (0.02, 0.05, "better"),
        (-0.02, 0.01, "worse"),
        (0.02, 0.06, "indistinguishable"),
        (-0.02, 0.9, "indistinguishable"),
    ],
)
def test_the_sign_counts_only_where_the_p_value_is_small(
    mean: float, p_value: float, verdict: str
) -> None:
    assert judge(difference(mean), p_value=p_value) == verdict


def explained(mean: float, verdict: Verdict = "indistinguishable", **changes: float | None) -> str:
    return explain(difference(mean, **changes), verdict, NAMES, comparisons=1)


def test_a_clear_verdict_says_by_how_much() -> None:
    assert explained(-0.0123, "worse") == "worse by 1.23 points of ACSA"


def test_an_open_one_names_the_class_and_what_it_would_take() -> None:
    found = explained(0.01, image_variance=1e-6, seed_variance=1e-4)

    start, _, end = found.partition("; you would need about ")
    assert start == (
        "indistinguishable (+1.00 points) with 12 test images in class 'cape' and 5 seeds"
    )
    assert end.endswith(" seeds")
    assert int(end.removesuffix(" seeds")) > 5


def test_images_are_counted_for_every_class() -> None:
    assert explained(-0.01).endswith(" in every class")


def test_one_that_neither_images_nor_seeds_alone_decide_says_so() -> None:
    found = explained(0.001, seed_variance=1e-4, image_variance=1.0)

    assert found.endswith("; you would need more images and more seeds")


def test_methods_of_equal_acsa_are_said_to_be_equal() -> None:
    assert explained(0.0) == "indistinguishable: the two come to the same ACSA"
