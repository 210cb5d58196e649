"""Golden examples survive the way into a file and back."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fdmo_export.golden import GoldenExample, read_golden

OUTPUTS = {
    "probabilities": np.array([0.1, 0.2, 0.7], dtype=np.float32),
    "landmarks": np.array([[1.5, -2.25], [1e-7, 3e5]], dtype=np.float32),
}


@pytest.mark.parametrize(
    "array",
    [
        np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8),
        np.zeros((3, 24, 24), dtype=np.uint8),
        np.random.default_rng(0).normal(size=9).astype(np.float32),
    ],
)
def test_inputs_and_outputs_come_back_bit_for_bit(array: NDArray[Any]) -> None:
    document = json.loads(json.dumps([GoldenExample(array, OUTPUTS).as_dict()] * 2))

    first, second = read_golden(document)

    for found in (first, second):
        assert found.input.dtype == array.dtype
        assert np.array_equal(found.input, array)
        assert found.outputs.keys() == OUTPUTS.keys()
        for name, value in OUTPUTS.items():
            assert found.outputs[name].dtype == np.float32
            assert np.array_equal(found.outputs[name], value)


def test_a_plain_picture_needs_little_room() -> None:
    example = GoldenExample(np.zeros((256, 256, 3), dtype=np.uint8), {})

    assert len(json.dumps(example.as_dict())) < 1000
