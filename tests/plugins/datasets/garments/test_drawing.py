import numpy as np
import pytest

from fdmo_core.samples import Visibility
from fdmo_plugins.datasets.garments.cuts import CUTS
from fdmo_plugins.datasets.garments.drawing import Picture, draw_picture
from fdmo_plugins.datasets.garments.fabrics import FABRICS


def draw(seed: int, *, size: int = 64, cut: str = "dress", fabric: str = "striped") -> Picture:
    return draw_picture(np.random.default_rng(seed), cut=cut, fabric=fabric, size=size)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("fabric", FABRICS)
def test_every_cut_can_be_drawn_in_every_fabric(cut: str, fabric: str) -> None:
    picture = draw(0, cut=cut, fabric=fabric)

    assert picture.image.dtype == np.uint8
    assert picture.image.ndim == 3
    assert picture.landmarks.shape == (8, 3)
    assert picture.landmarks.dtype == np.float32


def test_landmarks_scale_with_the_size() -> None:
    for seed in range(10):
        small, large = draw(seed, size=60).landmarks, draw(seed, size=300).landmarks

        there = small[:, 2] != Visibility.ABSENT
        assert np.allclose((small[there, :2] + 0.5) * 5.0, large[there, :2] + 0.5, rtol=1e-5)
        assert not small[~there].any()
        assert np.array_equal(small[:, 2], large[:, 2])


def test_a_larger_picture_shows_the_same() -> None:
    small, large = draw(1, size=60).image, draw(1, size=300).image

    height, width = (side // 5 for side in large.shape[:2])
    blocks = large[: height * 5, : width * 5].reshape(height, 5, width, 5, 3)
    difference = blocks.mean(axis=(1, 3)) - small[:height, :width]

    assert np.abs(difference).mean() < 8.0  # of 255: grain and the edges of polygons


def test_the_longer_side_is_the_size() -> None:
    for seed in range(10):
        assert max(draw(seed, size=72).image.shape) == 72


def test_visible_landmarks_lie_in_the_picture_and_truncated_ones_do_not() -> None:
    for seed in range(50):
        picture = draw(seed)
        height, width = picture.image.shape[:2]

        for x, y, visibility in picture.landmarks:
            in_picture = 0 <= x < width and 0 <= y < height
            assert in_picture or visibility == Visibility.TRUNCATED


def test_a_box_lies_in_the_picture_and_holds_a_pixel() -> None:
    for seed in range(50):
        picture = draw(seed)
        left, top, right, bottom = picture.box

        assert 0 <= left <= right - 1
        assert 0 <= top <= bottom - 1
        assert right <= picture.image.shape[1]
        assert bottom <= picture.image.shape[0]
