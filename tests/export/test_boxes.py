"""Boxes, checked against the images that they are of."""

from typing import Any

import numpy as np
import pytest

from fdmo_core.errors import DataError, ShapeError
from fdmo_export.boxes import clip_box, read_boxes, require_boxes

IMAGES = np.zeros((2, 30, 40, 3), dtype=np.uint8)


def test_no_boxes_are_whole_images() -> None:
    assert read_boxes(None, images=3) == [None, None, None]
    np.testing.assert_array_equal(clip_box(None, (30, 40), index=0), [0, 0, 40, 30])


def test_some_images_may_be_whole() -> None:
    found = read_boxes([(1, 2, 3, 4), None], images=2)

    assert found[1] is None
    np.testing.assert_array_equal(found[0], np.array([1, 2, 3, 4], dtype=np.float32))


def test_a_box_is_cut_to_its_image() -> None:
    box = np.array([-5, 3.5, 1e9, 20], dtype=np.float32)

    np.testing.assert_array_equal(clip_box(box, (30, 40, 3), index=0), [0, 3.5, 40, 20])


@pytest.mark.parametrize(
    "box",
    [
        (10, 5, 10, 20),
        (10, 20, 30, 5),
        (50, 0, 60, 10),
        (0, -9, 10, 0),
        (float("nan"), 0, 10, 10),
        (0, 0, float("inf"), 10),
    ],
)
def test_a_box_without_a_pixel_is_an_error(box: tuple[float, ...]) -> None:
    with pytest.raises(DataError) as caught:
        require_boxes(np.array([(0, 0, 1, 1), box], dtype=np.float32), IMAGES)

    assert str(caught.value) == (
        f"Box 1 is {[float(one) for one in box]} in an image of 40 x 30 pixels. Expected finite "
        f"numbers with right > left and bottom > top, at least partly inside the image. Give each "
        f"as left, top, right, bottom in pixels."
    )


def test_another_number_of_boxes_is_an_error() -> None:
    with pytest.raises(ShapeError) as caught:
        read_boxes([(0, 0, 1, 1)], images=2)

    assert str(caught.value) == (
        "There are 1 boxes for 2 images. Expected one an image. Give each as left, top, right, "
        "bottom in pixels, or None for a whole image."
    )


@pytest.mark.parametrize("box", [(0, 0, 1), "left", (0, 0, (1, 2), 3)])
def test_a_box_of_other_than_four_numbers_is_an_error(box: Any) -> None:
    with pytest.raises(ShapeError) as caught:
        read_boxes([box], images=1)

    assert str(caught.value).startswith(f"Box 0 is {box!r}. Expected four numbers. Give each as ")


def test_a_single_number_is_no_box() -> None:
    with pytest.raises(ShapeError, match=r"^Boxes are 7. Expected one an image. "):
        read_boxes(7, images=1)


def test_one_box_may_hold_for_a_whole_batch() -> None:
    assert require_boxes(np.array([[0, 0, 9, 9]]), IMAGES).shape == (1, 4)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 5), (2, 1, 4)])
def test_boxes_of_another_shape_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as caught:
        require_boxes(np.ones(shape, dtype=np.float32), IMAGES)

    assert str(caught.value).startswith(
        f"Boxes have shape {shape} for 2 images. Expected (2, 4), or (1, 4) for one that holds "
    )
