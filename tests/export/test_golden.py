"""Golden examples survive the way into a file and back."""

import base64
import json
import zlib
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


def test_an_example_that_unpacks_to_more_than_its_shape_is_refused() -> None:
    packed = base64.b64encode(zlib.compress(bytes(10**7))).decode()
    one = {"shape": [2, 3], "dtype": "uint8", "data": packed, "outputs": {}}

    with pytest.raises(ValueError, match="unpacks to more than its 6 bytes"):
        read_golden([one])


def test_an_example_that_claims_to_be_huge_is_refused() -> None:
    one = {"shape": [2**40], "dtype": "uint8", "data": "", "outputs": {}}

    with pytest.raises(ValueError, match="an example of 1099511627776 bytes"):
        read_golden([one])
