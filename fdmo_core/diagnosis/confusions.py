"""Which classes are taken for which others."""

from typing import NamedTuple

from torch import Tensor


class Confusion(NamedTuple):
    """How often one class was taken for another.

    Attributes:
        label: The true class.
        taken_for: The class that was predicted.
        num_images: How often.
        share: Of the true class's rows.
    """

    label: int
    taken_for: int
    num_images: int
    share: float


def top_confusions(matrix: Tensor, num: int) -> list[Confusion]:
    """Return the confusions that concern the largest shares of a class, those that occur.

    Args:
        matrix: Rows of a true class (row) that were predicted as a class (column). Shape
            ``(C, C)``, int64.
        num: How many at most.
    """
    wrong = matrix - matrix.diagonal().diag()
    shares = wrong.double() / matrix.sum(dim=1, keepdim=True).clamp_min(1)
    order = shares.flatten().argsort(descending=True, stable=True)[:num].tolist()
    places = (divmod(place, len(matrix)) for place in order)
    return [
        Confusion(label, taken_for, int(wrong[label, taken_for]), float(shares[label, taken_for]))
        for label, taken_for in places
        if wrong[label, taken_for]
    ]
