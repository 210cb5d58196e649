"""Holm's adjustment."""

import pytest

from fdmo_core.comparison.holm import holm


def test_the_smallest_is_multiplied_by_all_and_each_next_one_by_one_less() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_none_is_above_1_and_one_alone_stays() -> None:
    assert holm([0.9, 0.8, 0.7]) == [1.0, 1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_what_is_rejected_is_what_the_step_down_procedure_rejects() -> None:
    p_values, level = [0.001, 0.2, 0.013, 0.012, 0.04], 0.05

    rejected = set()
    for step, index in enumerate(sorted(range(5), key=lambda one: p_values[one])):
        if p_values[index] > level / (5 - step):
            break
        rejected.add(index)

    assert {at for at, one in enumerate(holm(p_values)) if one <= level} == rejected == {0, 2, 3}
