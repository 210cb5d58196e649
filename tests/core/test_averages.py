import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fdmo_core.averages import average_class_accuracy, geometric_mean

RECALLS = st.lists(st.floats(0, 1), min_size=1, max_size=60).map(np.array)


@pytest.mark.parametrize(("num_classes", "recall"), [(8142, 0.6), (1000, 0.4)])
def test_the_geometric_mean_of_equal_recalls_is_that_recall(
    num_classes: int, recall: float
) -> None:
    recalls = np.full(num_classes, recall)

    assert float(geometric_mean(recalls)) == pytest.approx(recall, abs=1e-12)


def test_matches_equation_6_written_as_loops() -> None:
    recalls = [0.9, 0.5, 0.25, 1.0]

    total, product = 0.0, 1.0
    for recall in recalls:
        total += recall
        product *= recall

    assert float(average_class_accuracy(np.array(recalls))) == pytest.approx(total / 4)
    assert float(geometric_mean(np.array(recalls))) == pytest.approx(product ** (1 / 4))


@given(RECALLS)
def test_the_geometric_mean_is_never_above_the_arithmetic_one(
    recalls: NDArray[np.float64],
) -> None:
    assert geometric_mean(recalls) <= average_class_accuracy(recalls) + 1e-12


def test_one_missed_class_makes_the_geometric_mean_exactly_0_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = float(geometric_mean(np.array([1.0, 0.0, 0.8])))

    assert value == 0.0


def test_a_floor_keeps_a_missed_class_from_hiding_the_others() -> None:
    value = float(geometric_mean(np.array([1.0, 0.0, 0.8]), floor=1e-3))

    assert value == pytest.approx(math.pow(1.0 * 1e-3 * 0.8, 1 / 3))


def test_both_average_each_resample_on_its_own() -> None:
    recalls = np.array([[0.5, 0.5], [0.2, 0.8]])

    assert average_class_accuracy(recalls) == pytest.approx([0.5, 0.5])
    assert geometric_mean(recalls) == pytest.approx([0.5, 0.4])
