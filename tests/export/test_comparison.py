"""How far two answers are apart, and when that is too far."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fdmo_export.comparison import TOLERANCE, Comparison, differences

NAN = float("nan")


def answers(seed: int, scale: float = 1.0) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    shapes = {"probabilities": (5, 4), "logits": (5, 4), "landmarks": (5, 3, 2)}
    return {
        name: (scale * rng.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()
    }


def test_differences_are_the_largest_ones_relative_to_values_above_1() -> None:
    expected, found = answers(0, scale=3), answers(1)

    result = differences(expected, found)

    for name, value in expected.items():
        pairs = list(zip(value.flatten().tolist(), found[name].flatten().tolist(), strict=True))
        largest = max(1.0, *(abs(one) for one, _ in pairs))
        apart = max(abs(one - other) for one, other in pairs)
        assert result.differences[name] == pytest.approx(apart / largest, rel=1e-6)


def test_flips_are_the_samples_whose_best_class_differs() -> None:
    expected, found = answers(0), answers(1)

    result = differences(expected, found)

    pairs = zip(expected["probabilities"].tolist(), found["probabilities"].tolist(), strict=True)
    assert result.label_flips == sum(a.index(max(a)) != b.index(max(b)) for a, b in pairs) > 0
    assert result.batch_size == 5


def test_a_landmark_that_rounding_decides_is_left_out_and_counted() -> None:
    expected = answers(0)
    found = {name: value.copy() for name, value in expected.items()}
    found["landmarks"][2, 1] += 7
    settled = np.ones((5, 3), dtype=bool)

    assert differences(expected, found, settled=settled).differences["landmarks"] > 1
    settled[2, 1] = False
    result = differences(expected, found, settled=settled)
    assert (result.differences["landmarks"], result.open_landmarks) == (0, 1)
    assert result.agrees


def test_nan_is_never_within_the_tolerance() -> None:
    expected, found = answers(0), answers(0)
    found["logits"][3, 2] = np.nan

    assert not differences(expected, found).agrees


@pytest.mark.parametrize(
    ("flips", "logits", "features", "agrees"),
    [
        (0, TOLERANCE, TOLERANCE, True),
        (1, 0.0, 0.0, False),
        (0, 2 * TOLERANCE, 0.0, False),
        (0, 0.0, 2 * TOLERANCE, False),
        (0, NAN, 0.0, False),
    ],
)
def test_agreement_needs_no_flip_and_every_output_within_the_tolerance(
    flips: int, logits: float, features: float, agrees: bool
) -> None:
    found = Comparison(1, flips, {"logits": logits, "features": features})

    assert found.agrees is agrees
    assert found.as_dict() == {
        "batch_size": 1,
        "label_flips": flips,
        "differences": {"logits": logits, "features": features},
        "open_landmarks": 0,
        "agrees": agrees,
    } or np.isnan(logits)
