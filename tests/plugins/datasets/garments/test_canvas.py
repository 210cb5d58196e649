import numpy as np

from fdmo_plugins.datasets.garments.canvas import Canvas, smooth_field
from fdmo_plugins.datasets.garments.fabrics import Floats

RED = np.array([1.0, 0.0, 0.0], dtype=np.float32)
LEFT_HALF = np.array([[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]])


def test_a_picture_has_the_extent_in_pixels() -> None:
    canvas = Canvas((0.75, 1.0), size=40)

    assert canvas.finish().shape == (40, 30, 3)


def test_a_filled_polygon_covers_its_place_at_every_size() -> None:
    for size in (40, 120):
        canvas = Canvas((1.0, 1.0), size=size)

        canvas.fill(LEFT_HALF, RED)

        image = canvas.finish()
        assert (image[:, : size // 2 - 1] == RED).all()
        assert (image[:, size // 2 + 1 :] == 0.0).all()


def test_a_cover_takes_its_colours_from_the_place() -> None:
    canvas = Canvas((1.0, 1.0), size=40)

    def ramp(x: Floats, y: Floats) -> Floats:
        return np.stack([x, y, np.zeros_like(x)], axis=-1)

    canvas.cover([LEFT_HALF], ramp)

    image = canvas.finish()
    assert np.allclose(image[30, 10], [10.5 / 40, 30.5 / 40, 0.0], atol=0.01)  # a byte is 0.004
    assert (image[:, 21:] == 0.0).all()


def test_a_polygon_outside_the_picture_changes_nothing() -> None:
    canvas = Canvas((1.0, 1.0), size=40)

    canvas.cover([LEFT_HALF + 2.0], lambda x, y: np.ones((*x.shape, 3), dtype=np.float32))

    assert (canvas.finish() == 0.0).all()


def test_a_smooth_field_looks_the_same_when_it_is_finer() -> None:
    coarse = smooth_field(np.random.default_rng(0), cells=4, shape=(40, 40))
    fine = smooth_field(np.random.default_rng(0), cells=4, shape=(120, 120))

    assert np.allclose(coarse, fine[1::3, 1::3], atol=1e-4)  # float32 rounding in the resampling
