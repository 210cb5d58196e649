"""Images of any sizes and kinds, as applications have them."""

from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fdmo_core.errors import DataError, ShapeError
from fdmo_export.pictures import BATCH_PIXELS, SPARE, list_pictures, pack, read_picture, stack

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def encoded(format: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(PIXELS).save(file, format, **options)
    return file.getvalue()


def test_arrays_paths_and_bytes_are_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded())

    for one in (PIXELS, path, str(path), encoded()):
        np.testing.assert_array_equal(read_picture(one, max_pixels=600), PIXELS)


def test_a_file_is_turned_upright_as_in_training() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is the right side

    found = read_picture(encoded(exif=exif), max_pixels=600)

    np.testing.assert_array_equal(found, np.rot90(PIXELS, -1))


@pytest.mark.parametrize("one", [PIXELS, "a.png", Path("a.png"), b"\x89PNG"])
def test_one_image_is_a_sequence_of_one(one: Any) -> None:
    (found,) = list_pictures(one)

    assert found is one


def test_a_batch_is_a_sequence_of_its_images() -> None:
    assert [one.shape for one in map(np.asarray, list_pictures(np.stack([PIXELS] * 3)))] == [
        (20, 30, 3)
    ] * 3


def test_a_larger_image_than_allowed_is_an_error_whatever_it_comes_as() -> None:
    for one, name in ((PIXELS, "Image 4"), (encoded(), "The image")):
        with pytest.raises(DataError) as caught:
            read_picture(one, max_pixels=599, index=4)

        assert str(caught.value) == (
            f"{name} has 30 x 20 pixels. Expected at most 599 (max_pixels). Scale the image down "
            f"or raise the limit."
        )


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        (PIXELS.transpose(2, 0, 1), "Channels come last: move them there with numpy.moveaxis"),
        (PIXELS / 255, "Scale it to 0 to 255, round it, and call astype('uint8')."),
        (PIXELS.astype(np.uint16), "Give 8 bits a channel, 0 to 255, and call astype('uint8')."),
        (PIXELS[..., 0], "Grey becomes RGB when it is repeated three times along a last axis."),
        (PIXELS[..., :1], "Grey becomes RGB when it is repeated three times along a last axis."),
        (PIXELS[..., [0, 1, 2, 0]], "Put what is transparent on black and give the first three"),
        (PIXELS[:0], "Leave out what is empty."),
        (PIXELS[..., :2], "Give RGB images, row by row."),
    ],
    ids=lambda wrong: f"{wrong.dtype}-{wrong.shape}" if isinstance(wrong, np.ndarray) else "",
)
def test_an_array_that_is_no_rgb_image_is_told_what_to_become(
    wrong: NDArray[Any], remedy: str
) -> None:
    with pytest.raises(ShapeError) as caught:
        read_picture(wrong, max_pixels=600, index=2)

    assert str(caught.value).startswith(
        f"Image 2 has shape {wrong.shape} and type {wrong.dtype}. Expected (H, W, 3) of uint8, "
        f"RGB, with at least one pixel. {remedy}"
    )


def test_what_is_no_image_at_all_is_an_error() -> None:
    wrong: Any = [[0, 0, 0]]

    with pytest.raises(ShapeError) as caught:
        read_picture(wrong, max_pixels=600)

    assert str(caught.value) == (
        "Image 0 is of type list. Expected a numpy array of shape (H, W, 3) and type uint8, a "
        "path, or the bytes of an image file. Convert it first."
    )


def test_batches_hold_every_image_once_within_their_limits() -> None:
    rng = np.random.default_rng(0)
    shapes = [(int(rows), int(columns), 3) for rows, columns in rng.integers(1, 3000, (60, 2))]

    batches = list(pack(shapes, batch_size=8))

    assert sorted(chain.from_iterable(batches)) == list(range(60))
    for batch in batches:
        own = sum(shapes[one][0] * shapes[one][1] for one in batch)
        padded = len(batch) * np.prod([max(shapes[one][axis] for one in batch) for axis in (0, 1)])
        assert len(batch) <= 8
        assert len(batch) == 1 or padded <= min(BATCH_PIXELS, SPARE * own)


def test_images_of_one_size_fill_batches() -> None:
    assert [len(one) for one in pack([(20, 30, 3)] * 70, batch_size=32)] == [32, 32, 6]


def test_an_image_of_more_pixels_than_a_batch_goes_alone() -> None:
    wide = (1000, 20_000, 3)

    assert list(pack([wide, wide, (4, 4, 3)], batch_size=8)) == [[2], [0], [1]]


def test_smaller_images_are_padded_with_zeros_to_the_right_and_below() -> None:
    batch = stack([PIXELS, PIXELS[:5, :7]])

    assert batch.shape == (2, 20, 30, 3)
    np.testing.assert_array_equal(batch[0], PIXELS)
    np.testing.assert_array_equal(batch[1, :5, :7], PIXELS[:5, :7])
    assert not batch[1, 5:].any()
    assert not batch[1, :, 7:].any()
