import numpy as np
import pytest

from fdmo_plugins.datasets.garments.fabrics import FABRICS, Floats


def swatch(fabric: str, seed: int) -> Floats:
    y, x = (np.mgrid[:40, :40] / 20.0).astype(np.float32)
    return FABRICS[fabric](np.random.default_rng(seed), x, y, np.zeros_like(x))


def varies(colours: Floats, axis: int) -> bool:
    return bool(np.ptp(colours, axis=axis).max() > 1e-3)


@pytest.mark.parametrize("fabric", FABRICS)
def test_a_fabric_gives_a_colour_to_every_place(fabric: str) -> None:
    colours = swatch(fabric, seed=0)

    assert colours.shape == (40, 40, 3)
    assert colours.dtype == np.float32
    assert 0.0 <= colours.min() <= colours.max() <= 1.0


@pytest.mark.parametrize("fabric", FABRICS)
def test_a_fabric_is_the_same_for_the_same_randomness(fabric: str) -> None:
    assert np.array_equal(swatch(fabric, seed=3), swatch(fabric, seed=3))


def test_stripes_vary_in_one_direction_and_checks_in_both() -> None:
    for seed in range(20):
        stripes, checks = swatch("striped", seed), swatch("checked", seed)

        assert varies(stripes, axis=0) != varies(stripes, axis=1)
        assert varies(checks, axis=0)
        assert varies(checks, axis=1)
