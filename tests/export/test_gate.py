"""What a lower precision costs, and when that is too much."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from fdmo_export.gate import Gate, GateLimits, judge

COUNTS = np.array([900, 30, 3])  # few is class 2
LABELS = np.array([0] * 6 + [1] * 3 + [2] * 2)


def scores(answers: list[int]) -> NDArray[np.float32]:
    """Logits whose best classes are the given ones."""
    return np.eye(3, dtype=np.float32)[answers]


def costs(exact: list[int], lower: list[int], limits: GateLimits | None = None) -> Gate:
    return judge(scores(exact), scores(lower), LABELS, COUNTS, limits or GateLimits())


def test_equal_answers_cost_nothing_and_pass() -> None:
    gate = costs([0] * 11, [0] * 11)

    assert gate.passes
    assert gate.flips == 0
    assert gate.images == 11
    assert {one.value for one in gate.drops.values()} == {0.0}
    assert {one.interval for one in gate.drops.values()} == {(0.0, 0.0)}


def test_the_drops_are_those_counted_by_hand() -> None:
    exact = [0, 0, 0, 0, 1, 1] + [1, 1, 0] + [2, 2]
    lower = [0, 0, 0, 1, 1, 0] + [1, 0, 0] + [2, 1]

    gate = costs(exact, lower)

    recalls = {"exact": (4 / 6, 2 / 3, 1.0), "lower": (4 / 6, 1 / 3, 1 / 2)}
    acsa = sum(a - b for a, b in zip(*recalls.values(), strict=True)) / 3
    assert gate.flips == 4
    assert gate.drops["top1"].value == pytest.approx(8 / 11 - 6 / 11)
    assert gate.drops["acsa"].value == pytest.approx(acsa)
    assert gate.drops["few_shot"].value == pytest.approx(0.5)


def test_a_better_answer_is_a_drop_below_zero_and_passes() -> None:
    gate = costs([0] * 11, [0] * 6 + [1] * 5)

    assert gate.drops["acsa"].value == pytest.approx(-1 / 3)
    assert gate.passes


def test_a_drop_of_exactly_the_limit_passes_and_one_image_more_does_not() -> None:
    exact = LABELS.tolist()
    limits = GateLimits(max_drop=1 / 6, max_few_shot_drop=1)

    at_limit = costs(exact, [*exact[:9], 0, 2], limits)
    above = costs(exact, [*exact[:9], 0, 0], limits)

    assert at_limit.drops["acsa"].value == pytest.approx(1 / 6)
    assert at_limit.passes
    assert not above.passes


def test_the_limit_of_rare_classes_is_one_of_its_own() -> None:
    exact = LABELS.tolist()
    limits = GateLimits(max_drop=1, max_few_shot_drop=0.4)

    assert costs(exact, [1, *exact[1:]], limits).passes
    assert not costs(exact, [*exact[:10], 0], limits).passes


def test_without_images_of_rare_classes_there_is_no_figure_for_them() -> None:
    labels = np.array([0, 1, 1])

    gate = judge(scores([0, 1, 1]), scores([0, 1, 0]), labels, COUNTS, GateLimits())

    assert set(gate.drops) == {"top1", "acsa"}


def test_scores_that_are_not_numbers_are_wrong_answers() -> None:
    exact = LABELS.tolist()
    lower = scores(exact)
    lower[0] = np.nan  # its first class, the right one, would rank first

    gate = judge(scores(exact), lower, LABELS, COUNTS, GateLimits())

    assert gate.flips == 1
    assert gate.drops["top1"].value == pytest.approx(1 / 11)


def test_the_interval_is_of_the_paired_difference() -> None:
    """A single image of class 1 flips: a resample has it 0 to 3 times, Binomial(3, 1/3)."""
    exact = LABELS.tolist()
    lower = [*exact[:6], 0, *exact[7:]]

    low, high = costs(exact, lower).drops["acsa"].interval

    assert low == pytest.approx(0)
    assert high == pytest.approx(3 / 9) or high == pytest.approx(2 / 9)


def test_equal_answers_have_equal_intervals() -> None:
    exact, lower = LABELS.tolist(), [1] * 11

    assert costs(exact, lower) == costs(exact, lower)


def test_the_lines_name_every_figure_and_what_is_too_much() -> None:
    exact = LABELS.tolist()

    lines = list(costs(exact, [*exact[:10], 0]).lines())

    assert lines[0] == "1 of 11 validation images change their class"
    assert lines[2].startswith("acsa drops by +0.1667 [")
    assert lines[3].endswith("limit 0.0200: too much")
    assert len(lines) == 4


def test_limits_are_shares() -> None:
    with pytest.raises(ValidationError, match="max_drop"):
        GateLimits(max_drop=1.5)
