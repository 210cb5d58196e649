import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdmo_core.shot_groups import bottom_quarter, by_thresholds, thirds

GAMO_COUNTS = np.array([4000, 2000, 1000, 750, 500, 350, 200, 100, 60, 40])
COUNTS = st.lists(st.integers(1, 500), min_size=1, max_size=40)


def test_thirds_go_by_training_count_and_not_by_label() -> None:
    groups = thirds(np.array([5, 900, 40, 3, 700, 50]))

    assert groups.few.tolist() == [3, 0]
    assert groups.medium.tolist() == [2, 5]
    assert groups.many.tolist() == [4, 1]


@pytest.mark.parametrize(
    ("num_classes", "sizes"),
    [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (10, (4, 3, 3)), (11, (4, 3, 4))],
)
def test_what_thirds_leave_over_goes_to_few_and_then_to_many(
    num_classes: int, sizes: tuple[int, int, int]
) -> None:
    groups = thirds(np.arange(num_classes))

    assert (len(groups.few), len(groups.medium), len(groups.many)) == sizes


@given(COUNTS)
def test_thirds_hold_every_class_once_in_order_of_count(counts: list[int]) -> None:
    groups = thirds(np.array(counts))

    ordered = [*groups.few.tolist(), *groups.medium.tolist(), *groups.many.tolist()]
    assert ordered == sorted(range(len(counts)), key=lambda index: (counts[index], index))
    sizes = [len(group) for group in groups]
    assert max(sizes) - min(sizes) <= 1


@given(COUNTS)
def test_thresholds_hold_every_class_once_as_a_loop_would_sort_them(counts: list[int]) -> None:
    groups = by_thresholds(np.array(counts), many_above=100, few_below=20)

    for index, count in enumerate(counts):
        expected = "many" if count > 100 else "few" if count < 20 else "medium"
        assert [name for name in groups._fields if index in getattr(groups, name)] == [expected]


def test_the_thresholds_themselves_are_medium() -> None:
    groups = by_thresholds(np.array([19, 20, 100, 101]), many_above=100, few_below=20)

    assert groups.medium.tolist() == [1, 2]


def test_the_literature_s_thresholds_find_no_few_in_gamo_s_counts() -> None:
    groups = by_thresholds(GAMO_COUNTS, many_above=100, few_below=20)

    assert groups.few.tolist() == []


@pytest.mark.parametrize(("num_classes", "size"), [(1, 1), (4, 1), (5, 2), (10, 3), (46, 12)])
def test_the_bottom_quarter_is_rounded_up(num_classes: int, size: int) -> None:
    counts = np.arange(num_classes)[::-1]

    expected = [num_classes - 1 - rank for rank in range(size)]
    assert bottom_quarter(counts).tolist() == expected


def test_equal_counts_keep_class_order() -> None:
    assert bottom_quarter(np.full(8, 30)).tolist() == [0, 1]
