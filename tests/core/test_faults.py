"""Finding what is not finite among many tensors."""

import math

import pytest
import torch

from fdmo_core.faults import all_finite, bad_gradients, bad_weights, floating


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_one_bad_number_among_many_is_found(bad: float, dtype: torch.dtype) -> None:
    tensors = [torch.ones(50, dtype=dtype), torch.ones(3, 7)]
    assert math.isfinite(all_finite(tensors))

    tensors[0][17] = bad

    assert not math.isfinite(all_finite(tensors, []))
    named = {str(number): one for number, one in enumerate(tensors)}
    (gradient,), (weight,) = bad_gradients(named), bad_weights(named)
    assert (gradient.name, weight.name) == ("0", "0")
    assert weight.share == pytest.approx(1 / 50)
    assert weight.norm == pytest.approx(7.0)


def test_a_gradient_that_cannot_be_squared_is_bad_and_such_a_weight_is_not() -> None:
    long = {"bias": torch.tensor([1e25, 1e25])}

    assert not math.isfinite(all_finite(list(long.values())))
    assert [str(one) for one in bad_gradients(long)] == ["gradient of bias (of length 1.41e+25)"]
    assert bad_weights(long) == []


def test_only_tensors_of_numbers_that_can_be_infinite_are_looked_at() -> None:
    state = {
        "weight": torch.ones(2),
        "count": torch.ones(2, dtype=torch.int64),
        "empty": torch.empty(0),
        "extra": {"any": "thing"},
    }

    assert list(floating(state)) == ["weight"]
    assert float(all_finite([])) == 0
