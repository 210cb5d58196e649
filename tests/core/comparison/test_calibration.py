"""The calibration error, against a plain loop."""

import math

import numpy as np
import pytest

from fdmo_core.comparison.calibration import NUM_BINS, expected_calibration_error


def by_hand(confidences: list[float], correct: list[bool], num_bins: int) -> float:
    total = 0.0
    for number in range(1, num_bins + 1):
        inside = [
            at
            for at, one in enumerate(confidences)
            if (number - 1) / num_bins < one <= number / num_bins
        ]
        if inside:
            accuracy = sum(correct[at] for at in inside) / len(inside)
            confidence = sum(confidences[at] for at in inside) / len(inside)
            total += len(inside) / len(confidences) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize("num_bins", [1, 4, NUM_BINS])
def test_it_is_the_weighted_distance_of_each_bin(num_bins: int) -> None:
    rng = np.random.default_rng(0)
    confidences = rng.uniform(0.1, 1.0, 500)
    correct = rng.uniform(size=500) < confidences**2

    found = expected_calibration_error(confidences, correct, num_bins=num_bins)

    assert found == pytest.approx(by_hand(confidences.tolist(), correct.tolist(), num_bins))


def test_bins_hold_their_upper_bound() -> None:
    confidences, correct = np.array([0.5, 0.5 + 1e-9]), np.array([True, False])

    found = expected_calibration_error(confidences, correct, num_bins=2)

    assert found == pytest.approx(0.5)  # in one bin the two would cancel


def test_a_classifier_that_is_sure_and_right_has_none() -> None:
    assert expected_calibration_error(np.ones(7), np.ones(7, dtype=bool)) == 0


def test_a_classifier_that_is_sure_and_wrong_has_all() -> None:
    found = expected_calibration_error(np.ones(3, np.float32), np.zeros(3, dtype=bool))

    assert math.isclose(found, 1.0)
