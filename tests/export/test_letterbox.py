"""The letterbox of the graph against the one of training, and against plain loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fdmo_core import preprocessing
from fdmo_core.samples import Sample
from fdmo_export.contract import WHOLE_IMAGE
from fdmo_export.letterbox import Letterbox, fit_letterbox, letterbox

Box = tuple[float, float, float, float]

sides = st.integers(1, 90)
corners = st.floats(-20, 110, width=32)  # as the file takes them


def noise(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def placed(width: int, height: int, image_size: int, box: Box = WHOLE_IMAGE) -> Letterbox:
    return fit_letterbox(torch.tensor([box]), width=width, height=height, image_size=image_size)


def letterboxed(image: NDArray[np.uint8], image_size: int, box: Box = WHOLE_IMAGE) -> torch.Tensor:
    height, width = image.shape[:2]
    where = placed(width, height, image_size, box)
    return letterbox(torch.from_numpy(image[np.newaxis]), where, image_size)[0]


def in_training(image: NDArray[np.uint8], image_size: int, box: Box | None = None) -> torch.Tensor:
    return preprocessing.prepare(Sample(image, 0, box), image_size).image.float()


def has_area(box: Box, width: int, height: int) -> bool:
    left, top, right, bottom = box
    return min(width, math.ceil(right)) > max(0, math.floor(left)) and min(
        height, math.ceil(bottom)
    ) > max(0, math.floor(top))


@settings(max_examples=300, deadline=None)
@given(sides, sides, st.integers(1, 70), st.tuples(corners, corners, corners, corners))
def test_boxes_lie_exactly_where_training_puts_them(
    width: int, height: int, image_size: int, box: Box
) -> None:
    found = placed(width, height, image_size, box)

    if has_area(box, width, height):
        expected = preprocessing.fit_letterbox(width, height, image_size, box=box)
        assert found.corner.tolist() == [[expected.left, expected.top]]
        assert found.size.tolist() == [[expected.width, expected.height]]
        assert found.offset.tolist() == [[expected.offset_x, expected.offset_y]]
        assert found.new_size.tolist() == [[expected.new_width, expected.new_height]]
    else:
        assert 0 in found.size


@pytest.mark.parametrize("image_size", [224, 384])
def test_sizes_of_photographs_are_exact_too(image_size: int) -> None:
    for width, height in ((6000, 4000), (20_000, 3), (3, 20_000), (1023, 767), (640, 480)):
        expected = preprocessing.fit_letterbox(width, height, image_size)
        found = placed(width, height, image_size)
        assert found.new_size.tolist() == [[expected.new_width, expected.new_height]]
        assert found.offset.tolist() == [[expected.offset_x, expected.offset_y]]


@settings(max_examples=150, deadline=None)
@given(sides, sides, st.integers(4, 70), st.integers(0, 9))
def test_pixels_are_those_of_training_up_to_the_rounding_of_two_passes(
    width: int, height: int, image_size: int, seed: int
) -> None:
    image = noise(width, height, seed)

    apart = (letterboxed(image, image_size) - in_training(image, image_size)).abs()

    assert apart.max() <= 2


def test_few_pixels_differ_and_hardly_any_by_more_than_one() -> None:
    apart = torch.cat(
        [
            (letterboxed(image, 64) - in_training(image, 64)).abs().flatten()
            for image in (noise(150, 100), noise(48, 64), noise(400, 300), noise(63, 65))
        ]
    )

    assert (apart > 0).float().mean() < 0.05
    assert (apart > 1).float().mean() < 0.0005


def resized_in_loops(image: NDArray[np.uint8], width: int, height: int) -> list[list[list[float]]]:
    """Return rows of pixels: a triangle filter over columns, rounded, then over rows, rounded."""

    def line(pixels: list[float], length: int) -> list[float]:
        scale = len(pixels) / length
        reach = max(1.0, scale)
        out = []
        for cell in range(length):
            centre = (cell + 0.5) * scale - 0.5
            weights = [max(0.0, 1 - abs(place - centre) / reach) for place in range(len(pixels))]
            total = sum(w * p for w, p in zip(weights, pixels, strict=True)) / sum(weights)
            out.append(float(round(total)))
        return out

    channels = []
    for channel in range(3):
        across = [line(row, width) for row in image[:, :, channel].astype(float).tolist()]
        down = [line([row[column] for row in across], height) for column in range(width)]
        channels.append([[down[column][row] for column in range(width)] for row in range(height)])
    return channels


@pytest.mark.parametrize(("width", "height"), [(20, 13), (5, 9), (12, 12), (1, 7), (30, 2)])
def test_the_square_is_the_filter_written_as_loops(width: int, height: int) -> None:
    image = noise(width, height)
    where = preprocessing.fit_letterbox(width, height, 12)

    expected = torch.zeros(3, 12, 12)
    rows = slice(where.offset_y, where.offset_y + where.new_height)
    columns = slice(where.offset_x, where.offset_x + where.new_width)
    expected[:, rows, columns] = torch.tensor(
        resized_in_loops(image, where.new_width, where.new_height)
    )

    apart = (letterboxed(image, 12) - expected).abs()
    assert apart.max() <= 1  # where a value lies half-way between two numbers
    assert (apart > 0).float().mean() < 0.05


def test_an_image_of_the_right_size_stays_as_it_is() -> None:
    image = noise(24, 24)

    assert torch.equal(letterboxed(image, 24), torch.from_numpy(image).permute(2, 0, 1).float())


def test_a_box_shows_what_the_cropped_image_shows() -> None:
    image = noise(70, 50)

    found = letterboxed(image, 24, (10.4, 5.0, 41.0, 30.2))

    assert torch.equal(found, letterboxed(image[5:31, 10:41], 24))


def test_images_of_a_batch_have_boxes_of_their_own() -> None:
    images = torch.from_numpy(np.stack([noise(40, 30, seed) for seed in range(3)]))
    boxes = torch.tensor([(0.0, 0.0, 40.0, 30.0), (5.0, 5.0, 20.0, 30.0), (1.0, 2.0, 40.0, 9.0)])

    where = fit_letterbox(boxes, width=40, height=30, image_size=24)
    together = letterbox(images, where, 24)

    for image, box, found in zip(images.numpy(), boxes.tolist(), together, strict=True):
        assert torch.equal(found, letterboxed(image, 24, tuple(box)))


@pytest.mark.parametrize("padding", [0, 255])
def test_an_image_that_is_padded_and_has_a_box_is_the_image(padding: int) -> None:
    small, large = noise(20, 33), noise(50, 40)
    padded = np.full_like(large, padding)
    padded[:33, :20] = small
    boxes = torch.tensor([(0.0, 0.0, 20.0, 33.0), (0.0, 0.0, 50.0, 40.0)])

    where = fit_letterbox(boxes, width=50, height=40, image_size=24)
    found = letterbox(torch.from_numpy(np.stack([padded, large])), where, 24)

    assert torch.equal(found[0], letterboxed(small, 24))
    assert torch.equal(found[1], letterboxed(large, 24))


@pytest.mark.parametrize(
    "box", [(9.0, 5.0, 4.0, 9.0), (50.0, 0.0, 60.0, 9.0), (3.0, 3.0, 3.0, 3.0)]
)
def test_a_box_without_area_gives_no_number_that_could_be_taken_for_a_pixel(box: Box) -> None:
    assert letterboxed(noise(40, 30), 24, box).isnan().any()


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.lists(st.tuples(st.floats(0, 3000, width=32), st.floats(0, 3000, width=32)), max_size=4),
)
def test_points_come_back_from_where_training_puts_them(
    width: int, height: int, points: list[tuple[float, float]]
) -> None:
    image_points = np.array(points, dtype=np.float32).reshape(-1, 2)
    where = placed(width, height, 64)

    placed_points = preprocessing.fit_letterbox(width, height, 64).place(image_points)

    back = where.place_back(torch.from_numpy(placed_points)[np.newaxis])[0].numpy()

    np.testing.assert_allclose(back, image_points, atol=0.05)
