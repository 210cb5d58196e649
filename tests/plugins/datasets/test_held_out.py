from collections import Counter

import numpy as np
import pytest

from fdmo_plugins.datasets.held_out import (
    TEST,
    TRAIN,
    VAL,
    drawn_splits,
    held_out_counts,
    nothing_drawn,
)

LABELS = np.array([0] * 20 + [2] * 10 + [1])


def draw(seed: int = 0, of: str = "some") -> list[int]:
    drawn = drawn_splits(LABELS, ("a", "b", "c"), val_share=0.1, test_share=0.3, seed=seed, of=of)
    return [int(code) for code in drawn]


def test_each_class_is_held_out_by_its_share() -> None:
    drawn = np.array(draw())

    assert Counter(drawn[:20].tolist()) == {TRAIN: 12, VAL: 2, TEST: 6}
    assert Counter(drawn[20:30].tolist()) == {TRAIN: 6, VAL: 1, TEST: 3}
    assert drawn[30] == TRAIN


def test_seed_and_data_set_decide_the_draw() -> None:
    assert draw(seed=1) == draw(seed=1)
    assert draw(seed=1) != draw(seed=2)
    assert draw(of="some") != draw(of="other")


def test_a_class_is_drawn_as_if_the_others_were_not_there() -> None:
    alone = drawn_splits(
        LABELS[LABELS == 2], ("x", "y", "c"), val_share=0.1, test_share=0.3, seed=0, of="some"
    )

    assert alone.tolist() == draw()[20:30]


def test_no_sample_is_no_draw() -> None:
    none = np.empty(0, np.int64)

    assert len(drawn_splits(none, ("a",), val_share=0.1, test_share=0.3, seed=0, of="some")) == 0


@pytest.mark.parametrize(
    ("count", "expected"), [(0, (0, 0)), (1, (0, 0)), (2, (0, 1)), (3, (0, 2)), (10, (3, 6))]
)
def test_a_class_keeps_a_sample_to_train_with(count: int, expected: tuple[int, int]) -> None:
    assert held_out_counts(count, 0.35, 0.6) == expected


def test_a_share_of_nothing_is_explained() -> None:
    assert str(nothing_drawn("val", 0.01, largest=8, sample="row")) == (
        "data.val_share = 0.01 draws no val row at all: the largest class keeps 8 training rows. "
        "Expected at least one. Add rows, raise data.val_share, or set it to 0 to go without."
    )
