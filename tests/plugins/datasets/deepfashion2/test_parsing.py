import json
from typing import Any

import numpy as np
import pytest

from fdmo_core import DataError, Visibility
from fdmo_plugins.datasets.deepfashion2.parsing import parse_image

SKIRT = {
    "category_id": 9,
    "category_name": "skirt",
    "bounding_box": [1, 2, 30, 40.5],
    "landmarks": [5, 6, 2, 7, 8, 1, 0, 0, 0] + [9, 9, 2] * 5,
}


def content(**items: Any) -> bytes:
    return json.dumps({"source": "shop", "pair_id": 7, **items}).encode()


def test_an_item_has_its_labelled_landmarks() -> None:
    pair_id, (item,), faults = parse_image(content(item2=SKIRT))

    assert (pair_id, item.number, item.label, faults) == (7, 2, 8, {})
    assert item.box.tolist() == [1.0, 2.0, 30.0, 40.5]
    assert item.positions.tolist() == [0, 1, 3, 4, 5, 6, 7]
    assert item.points[:2].tolist() == [[5, 6, Visibility.VISIBLE], [7, 8, Visibility.OCCLUDED]]


def test_an_item_may_have_no_labelled_landmark() -> None:
    (item,) = parse_image(content(item1=SKIRT | {"landmarks": [0] * 24})).items

    assert item.points.shape == (0, 3)


def test_all_keys_but_two_are_items() -> None:
    image = parse_image(content(item1=SKIRT, item3=SKIRT, note="x"))

    assert [item.number for item in image.items] == [1, 3]
    assert image.faults == {
        "'note'": "The key is 'note'. Expected item1, item2, ..., each an object."
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"category_id": 14}, "category_id is 14. Expected 1 to 13."),
        ({"category_id": 0}, "category_id is 0. Expected 1 to 13."),
        ({"category_id": "9"}, "category_id is '9'. Expected 1 to 13."),
        ({"category_id": True}, "category_id is True. Expected 1 to 13."),
        ({"category_id": None}, "category_id is None. Expected 1 to 13."),
        ({"bounding_box": [1, 2, 3]}, "bounding_box is [1, 2, 3] of 3. Expected 4 numbers."),
        ({"bounding_box": None}, "bounding_box is None. Expected 4 numbers."),
        ({"bounding_box": ["1", 2, 3, 4]}, "bounding_box is ['1', 2, 3, 4] of 4. Expected 4 nu"),
        ({"bounding_box": [10**400, 2, 3, 4]}, "bounding_box is [1000"),
        ({"landmarks": [1] * 21}, "landmarks is [1, 1, 1"),
        ({"landmarks": [1] * 27}, "landmarks is [1, 1, 1"),
        ({"landmarks": [[1, 1, 1]] * 24}, "landmarks is [[1, 1, 1]"),
        ({"landmarks": [1, 1, 3] * 8}, "Visibilities are [3.0"),
        ({"landmarks": [1, 1, 0.5] * 8}, "Visibilities are [0.5"),
    ],
)
def test_an_item_with_a_fault_is_left_out_alone(change: dict[str, Any], reason: str) -> None:
    image = parse_image(content(item1=SKIRT | change, item2=SKIRT))

    assert [item.number for item in image.items] == [2]
    assert image.faults["item1"].startswith(reason)
    assert len(image.faults["item1"]) < 300


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "The file is broken (Expecting value"),
        (b'{"pair_id": 7, "item1"', "The file is broken ("),
        (b"[" * 100_000, "The file is broken ("),
        (b"[1]", "The file holds [1]. Expected a JSON object"),
        (b'{"pair_id": 7, "item1": NaN}', "The file is broken (NaN is no number)"),
        (b'{"item1": {}}', "pair_id is None. Expected a number."),
        (b'{"pair_id": "7"}', "pair_id is '7'. Expected a number."),
        (b'{"pair_id": 1e400}', "pair_id is inf. Expected a number."),
        (b'{"pair_id": 7, "source": "user"}', "The file lists no item."),
        (b'{"pair_id": 7, "source": "caf\xe9"}', "The file has the byte 0xe9 at 29. Expected UTF"),
    ],
)
def test_a_file_that_is_no_annotation_is_an_error(text: bytes, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_image(text)

    assert str(caught.value).startswith(reason)


def test_a_byte_order_mark_is_taken() -> None:
    image = parse_image(b"\xef\xbb\xbf" + content(item1=SKIRT))

    np.testing.assert_array_equal(image.items[0].box, [1, 2, 30, 40.5])


def test_places_of_faults_can_be_written_to_any_file() -> None:
    image = parse_image(b'{"pair_id": 7, "\\ud800": 1}')

    assert list(image.faults) == ["'\\ud800'"]
