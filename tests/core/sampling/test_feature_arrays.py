import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch

from fdmo_core.errors import DataError
from fdmo_core.sampling.feature_arrays import as_floats, as_tensor, device_of, require_finite

LARGEST = float(np.finfo(np.float32).max)


def test_a_tensor_shares_memory_with_rows_of_float32() -> None:
    rows = np.ones((3, 2), dtype=np.float32)

    tensor = as_tensor(rows)

    assert tensor.data_ptr() == rows.ctypes.data


def test_rows_that_cannot_be_written_to_or_are_of_another_kind_are_copied() -> None:
    rows = np.arange(6.0).reshape(3, 2)
    locked = rows.astype(np.float32)
    locked.flags.writeable = False

    for array in (rows, np.asfortranarray(rows), locked):
        tensor = as_tensor(array)

        assert tensor.dtype == torch.float32
        assert tensor.tolist() == rows.tolist()


@pytest.mark.parametrize("value", [0.0, -LARGEST, LARGEST])
def test_what_float32_can_hold_is_accepted(value: float) -> None:
    require_finite(np.array([[1.0, value]]), None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -2 * LARGEST])
def test_what_it_cannot_hold_is_refused_where_it_stands(value: float) -> None:
    features = np.zeros((4, 3))
    features[2, 1] = value
    features[3, 0] = np.nan

    with pytest.raises(DataError, match=r"Row 2, column 1 \('b'\)"):
        require_finite(features, np.array(["a", "b", "c"], dtype=object))


def test_arrays_lists_and_frames_of_floats_stay_what_they_are() -> None:
    for features in (np.ones((2, 2), dtype=int), [[1, 2]], pd.DataFrame({"a": [1.5]})):
        assert as_floats(features) is features


def test_whole_columns_of_a_frame_become_floats_and_text_stays() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [True, False], "c": ["x", "y"], "d": [0.5, 1.5]})

    kinds = as_floats(frame).dtypes

    assert [str(kind) for kind in kinds[["a", "b", "d"]]] == ["float64"] * 3
    assert kinds["c"] == frame.dtypes["c"]


def test_auto_is_cuda_where_there_is_one() -> None:
    assert device_of("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert device_of("cpu").type == "cpu"
