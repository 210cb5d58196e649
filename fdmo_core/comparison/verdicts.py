"""What a comparison of two methods comes to, in words."""

from collections.abc import Sequence
from typing import Literal

from fdmo_core.comparison.differences import SIGNIFICANCE, Difference
from fdmo_core.comparison.power import need_for

Verdict = Literal["better", "worse", "indistinguishable"]


def judge(difference: Difference, *, p_value: float, significance: float = SIGNIFICANCE) -> Verdict:
    """Return which of the three it is.

    Args:
        difference: Of a method and the baseline.
        p_value: Of the difference, adjusted for the number of methods.
        significance: Largest p-value that tells the two apart.
    """
    if p_value > significance:
        return "indistinguishable"
    return "better" if difference.mean > 0 else "worse"


def explain(
    difference: Difference, verdict: Verdict, class_names: Sequence[str], *, comparisons: int
) -> str:
    """Return the verdict as a sentence, with what it would take to come to another one.

    Args:
        difference: Of a method and the baseline.
        verdict: Of :func:`judge`.
        class_names: In label order.
        comparisons: How many methods are compared with the baseline.
    """
    if verdict != "indistinguishable":
        return f"{verdict} by {100 * abs(difference.mean):.2f} points of ACSA"
    need = need_for(difference, comparisons=comparisons)
    if need is None:
        return "indistinguishable: the two come to the same ACSA"
    seen = (
        f"indistinguishable ({100 * difference.mean:+.2f} points) with {need.images} test images "
        f"in class '{class_names[need.label]}' and {_counted(difference.num_seeds)}"
    )
    ways = []
    if need.images_per_class is not None:
        ways.append(f"about {need.images_per_class} in every class")
    if need.seeds is not None:
        ways.append(f"about {need.seeds} seeds")
    if not ways:
        return f"{seen}; you would need more images and more seeds"
    return f"{seen}; you would need {' or '.join(ways)}"


def _counted(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds"
