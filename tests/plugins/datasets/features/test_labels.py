from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fdmo_core import DataError
from fdmo_plugins.datasets.features.labels import classes_to_learn, read_labels, read_splits


@pytest.mark.parametrize(
    ("raw", "names", "labels"),
    [
        (np.array(["b", "a", "b"]), ("a", "b"), [1, 0, 1]),
        (np.array([b"b", "é".encode()]), ("b", "é"), [0, 1]),
        (np.array([10, 9, 10]), ("9", "10"), [1, 0, 1]),
        (np.array([7, -1, 3], np.int8), ("-1", "3", "7"), [2, 0, 1]),
        (np.array([2.0, 0.0, 2.0], np.float16), ("0", "2"), [1, 0, 1]),
        (np.array([True, False]), ("0", "1"), [1, 0]),
        (np.array([2**63, 1], np.uint64), ("1", "9223372036854775808"), [1, 0]),
        (np.array(["10", "9"]), ("10", "9"), [0, 1]),
    ],
)
def test_labels_are_the_names_of_classes(
    raw: NDArray[Any], names: tuple[str, ...], labels: list[int]
) -> None:
    found, numbers = read_labels(raw, None)

    assert found == names
    assert numbers.tolist() == labels
    assert numbers.dtype == np.int64


def test_numbers_count_the_class_names_that_a_file_lists() -> None:
    names, labels = read_labels(np.array([1, 0, 1], np.uint8), ("z", "a"))

    assert (names, labels.tolist()) == (("z", "a"), [1, 0, 1])


@pytest.mark.parametrize(
    ("raw", "names", "message"),
    [
        (
            np.array([0, 1.5, 0.1]),
            None,
            r"The label of row 1 is 1\.5, and 2 row\(s\) have such",
        ),
        (np.array([0, np.nan]), None, r"The label of row 1 is nan, and 1 row\(s\)"),
        (np.array([np.inf, 1]), None, r"The label of row 0 is inf"),
        (np.array([0, 1e300]), None, r"The label of row 1 is 1e\+300"),
        (np.array(["a", "", "a"]), None, r"The label of row 1 is empty\. Expected a name\."),
        (np.array([1 + 1j]), None, r"of the type complex128\. Expected whole numbers or text"),
        (np.array(["2020"], "M8[Y]"), None, r"of the type datetime64\[Y\]\."),
        (
            np.array([0, 2]),
            ("a", "b"),
            r"row 1 is 2, and the file lists 2 class names\. Expected",
        ),
        (np.array([-1, 0]), ("a", "b"), r"row 0 is -1, and the file lists 2 class names"),
        (np.array(["a"]), ("a", "b"), r"of the type <U1\. .* numbers where the file lists class n"),
    ],
)
def test_other_labels_are_refused(
    raw: NDArray[Any], names: tuple[str, ...] | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(raw, names)


@pytest.mark.parametrize(
    "raw",
    [
        np.array(["test", "val", "train"]),
        np.array([2, 1, 0]),
        np.array([b"test", b"val", b"train"]),
    ],
)
def test_splits_are_names_or_codes(raw: NDArray[Any]) -> None:
    assert read_splits(raw).tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("raw", "value"), [(np.array(["train", "dev"]), "'dev'"), (np.array([0, 3]), "3")]
)
def test_other_splits_are_refused(raw: NDArray[Any], value: str) -> None:
    with pytest.raises(DataError) as caught:
        read_splits(raw)

    assert str(caught.value) == (
        f"The split of row 1 is {value}. Expected train, val, test, or 0, 1, 2 for them. Correct "
        f"it, or set data.split_key = '' to draw the splits."
    )


def test_classes_that_no_row_has_are_left_out_and_the_others_count_on() -> None:
    names, labels = classes_to_learn(
        ("a", "b", "c", "d"), np.array([3, 1, 3, 1]), np.array([0, 0, 1, 2], np.int8)
    )

    assert names == ("b", "d")
    assert labels.tolist() == [1, 0, 1, 0]
