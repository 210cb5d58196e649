import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from fdmo_core.interfaces import FeatureBatch
from fdmo_core.plain_data import from_bytes, to_bytes


@pytest.mark.parametrize(
    "item",
    [
        *(None, True, False, 0, -(2**70), 0.1, float("inf"), "", 'a "\n\0 ü 🦜'),
        *([], [1, [2, []]], {}, {"tensor": ["value", {"list": None}]}),
    ],
)
def test_plain_data_comes_back_as_it_was(item: Any) -> None:
    found = from_bytes(to_bytes(item))

    assert found == item
    assert type(found) is type(item)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_tensors_come_back_bit_for_bit(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.randn(shape) * 3).to(dtype)

    found = from_bytes(to_bytes({"a": [tensor, tensor]}))["a"]

    assert [one.dtype for one in found] == [dtype, dtype]
    assert all(one.shape == shape and torch.equal(one, tensor) for one in found)


def test_views_and_transposes_come_back_alone() -> None:
    tensor = torch.arange(12.0).reshape(3, 4)

    found = from_bytes(to_bytes([tensor.T, tensor[:, 1]]))

    assert torch.equal(found[0], tensor.T)
    assert torch.equal(found[1], tensor[:, 1])


def test_a_named_tuple_comes_back_as_a_list() -> None:
    batch = FeatureBatch(torch.ones(2, 3), torch.tensor([0, 1]), torch.tensor([4, 5]))

    found = from_bytes(to_bytes(batch))

    assert isinstance(found, list)
    assert all(map(torch.equal, FeatureBatch(*found), batch))


@pytest.mark.parametrize("item", [Path("x"), {1: 2}, object(), b"x", {"a": [print]}])
def test_what_is_no_plain_data_is_refused(item: Any) -> None:
    with pytest.raises(TypeError, match="is no plain data"):
        to_bytes(item)


def test_a_pickle_is_not_read() -> None:
    content = pickle.dumps({"a": 1})

    with pytest.raises(Exception, match=r".") as caught:
        from_bytes(content)
    assert not isinstance(caught.value, pickle.UnpicklingError)
