"""What a comparison of two methods comes to, in words."""

from collections.abc import Sequence
from typing import Literal

from fdmo_core.comparison.differences import POWER, SIGNIFICANCE, Difference, need_for

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


def explain(difference: Difference, verdict: Verdict, class_names: Sequence[str]) -> str:
    """Return the verdict as a sentence, with what it would take to come to another one."""
    if verdict != "indistinguishable":
        return f"{verdict} by {100 * abs(difference.mean):.2f} points of ACSA"
    need = need_for(difference)
    if need is None:
        return "indistinguishable: the two come to the same ACSA"
    seen = (
        f"indistinguishable with {need.images} test images in class '{class_names[need.label]}' "
        f"and {difference.num_seeds} seed(s)"
    )
    ways = [
        f"about {number} {what}"
        for number, what in ((need.images_per_class, "in every class"), (need.seeds, "seeds"))
        if number is not None
    ]
    if not ways:
        return f"{seen}; for a difference so small you would need more of both"
    chance = f"{100 * POWER:.0f} % of finding {100 * abs(difference.mean):.2f} points"
    return f"{seen}; you would need {' or '.join(ways)} for a chance of {chance}"
