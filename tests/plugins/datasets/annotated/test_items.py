from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fdmo_core import Visibility
from fdmo_plugins.datasets.annotated.items import (
    Items,
    box_faults,
    concatenated,
    digest_of,
    landmark_faults,
    packed,
)


def items(*num_points: int) -> Items:
    """Return an item for each number, with so many landmarks in the slots from 0."""
    total = sum(num_points)
    return Items(
        paths=packed([f"{'a' * at}.jpg" for at in range(len(num_points))]),
        numbers=np.arange(len(num_points), dtype=np.int16),
        labels=np.arange(len(num_points)),
        sizes=np.full(len(num_points), 5),
        boxes=np.arange(4 * len(num_points), dtype=np.float32).reshape(-1, 4),
        points=np.arange(1, 3 * total + 1, dtype=np.float32).reshape(-1, 3),
        slots=np.array([slot for count in num_points for slot in range(count)], dtype=np.int16),
        ends=np.cumsum(num_points),
    )


def looked_at(some: Items, row: int) -> tuple[str, int, int, list[float], list[list[float]]]:
    return (
        some.paths[row],
        int(some.numbers[row]),
        int(some.labels[row]),
        some.boxes[row].tolist(),
        some.landmarks(row, 4).tolist(),
    )


def test_landmarks_without_a_point_are_absent() -> None:
    expected = [[7.0, 8.0, 9.0], [10.0, 11.0, 12.0], [0.0, 0.0, 0.0]]

    assert items(2, 0, 2).landmarks(2, 3).tolist() == expected
    assert items(2, 0, 2).landmarks(1, 3).tolist() == [[0.0, 0.0, 0.0]] * 3


@pytest.mark.parametrize("rows", [[], [1], [0, 2, 3], [3, 1, 1, 0]])
def test_taken_items_are_what_they_were(rows: list[int]) -> None:
    some = items(2, 0, 4, 1)

    taken = some.taken(np.array(rows, dtype=np.int64))

    assert len(taken) == len(rows)
    for at, row in enumerate(rows):
        assert looked_at(taken, at) == looked_at(some, row)


def test_concatenated_items_follow_one_another() -> None:
    first, second = items(2, 1), items(0, 3)

    both = concatenated(first, second)

    assert [looked_at(both, at) for at in range(4)] == [
        looked_at(one, at) for one in (first, second) for at in range(2)
    ]


@pytest.mark.parametrize(
    "column", ["numbers", "labels", "sizes", "boxes", "points", "slots", "ends"]
)
def test_the_digest_follows_every_column(column: str) -> None:
    some = items(2, 1)
    changed = getattr(some, column).copy()
    changed.flat[0] += 1

    other = replace(some, **{column: changed})

    assert digest_of([some], ["tee"]) == digest_of([items(2, 1)], ["tee"])
    assert digest_of([some], ["tee"]) != digest_of([other], ["tee"])
    assert digest_of([some], ["tee"]) != digest_of([some], ["top"])


@pytest.mark.parametrize(
    ("box", "is_usable"),
    [
        ((0, 0, 1, 1), True),
        ((-5, -5, 1, 1), True),
        ((3, 0, 3, 1), False),
        ((4, 0, 3, 1), False),
        ((0, 2, 1, 1), False),
        ((-9, 0, 0, 5), False),
        ((0, 0, 70_000, 5), False),
        ((0, 0, float("nan"), 5), False),
        ((0, 0, float("inf"), 5), False),
    ],
)
def test_a_box_spans_an_area_that_an_image_can_have(
    box: tuple[float, ...], is_usable: bool
) -> None:
    faults = box_faults(np.array([(0, 0, 2, 2), box], dtype=np.float32))

    assert list(faults) == ([] if is_usable else [1])


def far(x: float, y: float, visibility: Visibility) -> bool:
    boxes = np.array([[0, 0, 9, 9], [10, 20, 30, 40]], dtype=np.float32)
    points: NDArray[np.float32] = np.array(
        [[5, 5, Visibility.VISIBLE], [x, y, visibility]], dtype=np.float32
    )
    faults = landmark_faults(boxes, points, np.array([1, 2]))
    assert set(faults) <= {1}
    return bool(faults)


def test_a_landmark_is_not_ten_box_sides_away() -> None:
    reach = 10 * 20 + 300

    assert not far(30 + reach, 20, Visibility.VISIBLE)
    assert far(31 + reach, 20, Visibility.VISIBLE)
    assert far(10, 19 - reach, Visibility.OCCLUDED)
    assert not far(31 + reach, 20, Visibility.TRUNCATED)
    assert far(float("nan"), 20, Visibility.TRUNCATED)
    assert far(70_000, 20, Visibility.TRUNCATED)
