"""Adjusts p-values of several tests, so that the chance of any false finding stays small."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the adjusted p-values, in the same order.

    Source: Holm 1979. The i-th smallest of m is multiplied by ``m - i + 1``; none is smaller than
    one before it, and none above 1.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for position, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        largest = max(largest, min(1.0, (len(p_values) - position) * p_values[index]))
        adjusted[index] = largest
    return adjusted
