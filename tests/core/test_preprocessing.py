import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fdmo_core.errors import DataError
from fdmo_core.preprocessing import Letterbox, fit_letterbox, prepare
from fdmo_core.samples import NO_IMAGE, Sample, Visibility

Box = tuple[float, float, float, float]


def white(width: int, height: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 255, dtype=np.uint8)


def points(*coordinates: tuple[float, float, int]) -> NDArray[np.float32]:
    return np.array(coordinates, dtype=np.float32)


# left, top, width, height; offset_x, offset_y; new_width, new_height: all worked out by hand
@pytest.mark.parametrize(
    ("size", "image_size", "box", "expected"),
    [
        ((40, 40), 20, None, (0, 0, 40, 40, 0, 0, 20, 20)),
        ((200, 100), 50, None, (0, 0, 200, 100, 0, 12, 50, 25)),
        ((30, 90), 45, None, (0, 0, 30, 90, 15, 0, 15, 45)),
        ((10, 5), 40, None, (0, 0, 10, 5, 0, 10, 40, 20)),
        ((100, 1), 20, None, (0, 0, 100, 1, 0, 9, 20, 1)),
        ((1, 1), 20, None, (0, 0, 1, 1, 0, 0, 20, 20)),
        ((200, 150), 40, (10.0, 20.0, 50.0, 100.0), (10, 20, 40, 80, 10, 0, 20, 40)),
        ((200, 150), 40, (10.6, 20.9, 49.2, 99.1), (10, 20, 40, 80, 10, 0, 20, 40)),
        ((200, 150), 50, (-30.0, -1.0, 100.0, 900.0), (0, 0, 100, 150, 8, 0, 33, 50)),
        ((200, 150), 50, (150.0, 100.0, 999.0, 125.0), (150, 100, 50, 25, 0, 12, 50, 25)),
    ],
)
def test_a_crop_is_fitted_and_centred(
    size: tuple[int, int], image_size: int, box: Box | None, expected: tuple[int, ...]
) -> None:
    assert fit_letterbox(*size, image_size, box=box) == Letterbox(*expected)


@pytest.mark.parametrize(
    "box",
    [(20.0, 5.0, 20.0, 9.0), (9.0, 5.0, 4.0, 9.0), (30.0, 0.0, 50.0, 9.0), (0.0, -9.0, 9.0, 0.0)],
)
def test_a_box_without_area_in_the_image_is_refused(box: Box) -> None:
    with pytest.raises(DataError) as caught:
        fit_letterbox(30, 10, 24, box=box)

    assert str(caught.value) == (
        f"Box {box} has no area inside its image of 30 x 10 pixels. Expected left < right and top "
        f"< bottom inside the image. Correct the annotation or remove the box."
    )


@pytest.mark.parametrize(
    ("size", "image", "border"),
    [
        ((30, 60), (slice(0, 24), slice(6, 18)), 12 * 24),
        ((60, 20), (slice(8, 16), slice(0, 24)), 16 * 24),
        ((90, 1), (slice(11, 12), slice(0, 24)), 23 * 24),
        ((24, 24), (slice(0, 24), slice(0, 24)), 0),
    ],
)
def test_the_border_is_black_and_around_the_image(
    size: tuple[int, int], image: tuple[slice, slice], border: int
) -> None:
    prepared = prepare(Sample(white(*size), label=0), 24).image

    assert prepared.shape == (3, 24, 24)
    assert prepared.dtype == torch.uint8
    assert (prepared[:, *image] == 255).all()
    assert int((prepared == 0).sum()) == 3 * border


def test_an_image_of_the_right_size_is_not_changed() -> None:
    image = np.arange(16 * 16 * 3, dtype=np.int64).astype(np.uint8).reshape(16, 16, 3)

    prepared = prepare(Sample(image, label=0), 16).image

    np.testing.assert_array_equal(prepared.permute(1, 2, 0).numpy(), image)


def test_only_what_is_in_the_box_is_seen() -> None:
    image = white(60, 40)
    image[10:30, 20:40] = (10, 20, 30)

    prepared = prepare(Sample(image, label=0, box=(20.0, 10.0, 40.0, 30.0)), 16).image

    assert prepared.flatten(1).unique(dim=1).flatten().tolist() == [10, 20, 30]


def test_halving_takes_every_pixel_into_account() -> None:
    columns = np.tile(np.array([0, 200], dtype=np.uint8), 16)
    image = np.repeat(np.broadcast_to(columns, (32, 32))[:, :, None], 3, axis=2)

    prepared = prepare(Sample(image, label=0), 16).image

    assert prepared[:, :, 1:-1].float().mean() == pytest.approx(100, abs=1)  # 0 or 200 if aliased
    assert int(prepared[:, :, 1:-1].max()) - int(prepared[:, :, 1:-1].min()) <= 50


@pytest.mark.parametrize("spot", [(31, 40), (150, 22), (88, 130), (200, 141)])
@pytest.mark.parametrize(
    "box", [None, (20.0, 10.0, 220.0, 150.0), (25.3, 0.0, 212.7, 180.0), (10.0, 12.0, 230.0, 400.0)]
)
def test_a_landmark_stays_on_what_it_marks(spot: tuple[int, int], box: Box | None) -> None:
    x, y = spot
    image = np.zeros((180, 240, 3), dtype=np.uint8)
    image[y - 4 : y + 5, x - 4 : x + 5] = 255
    sample = Sample(image, label=0, box=box, landmarks=points((x, y, Visibility.VISIBLE)))

    prepared = prepare(sample, 48)

    brightness = prepared.image[0].double()
    rows, columns = torch.meshgrid(torch.arange(48), torch.arange(48), indexing="ij")
    found = [float((brightness * one).sum() / brightness.sum()) for one in (columns, rows)]
    assert prepared.landmarks[0, :2].tolist() == pytest.approx(found, abs=0.1)
    assert prepared.landmarks[0, 2] == Visibility.VISIBLE


def test_a_landmark_is_found_on_its_pixel_in_an_enlarged_image_too() -> None:
    image = np.zeros((8, 6, 3), dtype=np.uint8)
    image[5, 2] = 255

    prepared = prepare(Sample(image, label=0, landmarks=points((2, 5, Visibility.VISIBLE))), 64)

    # eight times as large: pixel 2 covers columns 16 to 23, after a border of 8
    assert prepared.landmarks[0, :2].tolist() == [8 + 19.5, 43.5]
    brightest = torch.nonzero(prepared.image[0] == prepared.image[0].max()).double().mean(dim=0)
    assert brightest.tolist() == [43.5, 8 + 19.5]


@pytest.mark.parametrize(
    ("x", "y", "is_inside"),
    [
        (10, 20, True),
        (9.5, 19.5, True),
        (49.5, 59.5, True),
        (9, 20, False),
        (10, 19, False),
        (50, 59, False),
        (49, 60, False),
        (-1, 30, False),
    ],
)
def test_a_landmark_that_the_crop_leaves_out_is_truncated(
    x: float, y: float, is_inside: bool
) -> None:
    landmarks = points((x, y, Visibility.VISIBLE), (x, y, Visibility.OCCLUDED))

    sample = Sample(white(90, 90), label=0, box=(10.0, 20.0, 50.0, 60.0), landmarks=landmarks)

    expected = (
        [Visibility.VISIBLE, Visibility.OCCLUDED] if is_inside else [Visibility.TRUNCATED] * 2
    )
    assert prepare(sample, 40).landmarks[:, 2].tolist() == expected


@pytest.mark.parametrize("visibility", [Visibility.ABSENT, Visibility.TRUNCATED])
def test_what_could_not_be_seen_before_stays_as_it_is(visibility: Visibility) -> None:
    landmarks = points((30, 30, visibility), (0, 0, visibility))

    sample = Sample(white(90, 90), label=0, box=(10.0, 20.0, 50.0, 60.0), landmarks=landmarks)

    assert prepare(sample, 40).landmarks[:, 2].tolist() == [visibility, visibility]


def test_a_sample_without_landmarks_has_none() -> None:
    assert prepare(Sample(white(20, 20), label=0), 16).landmarks.shape == (0, 3)


def test_the_sample_stays_as_it_was() -> None:
    image, landmarks = white(90, 60), points((80, 30, Visibility.VISIBLE))
    sample = Sample(image, label=0, box=(0.0, 0.0, 40.0, 60.0), landmarks=landmarks)

    prepare(sample, 16)

    assert (image == 255).all()
    np.testing.assert_array_equal(landmarks, points((80, 30, Visibility.VISIBLE)))


def test_features_stay_as_they_are() -> None:
    features = np.array([0.5, -3.0], dtype=np.float32)

    prepared = prepare(Sample(NO_IMAGE, 1, features=features), 16)

    features[0] = 9
    assert prepared.image.tolist() == [0.5, -3.0]
    assert prepared.landmarks.shape == (0, 3)
