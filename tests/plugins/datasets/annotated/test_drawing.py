import numpy as np
import pytest

from fdmo_core import ConfigError
from fdmo_plugins.datasets.annotated.drawing import looks, tail_counts

COUNTS = [5, 1000, 0, 70, 300]


@pytest.mark.parametrize("num_images", [12, 37, 400])
def test_a_tail_has_all_images_and_two_of_each_class(num_images: int) -> None:
    drawn = tail_counts(num_images, COUNTS)

    assert drawn.sum() == num_images
    assert drawn[drawn > 0].min() >= 2
    assert drawn[2] == 0


def test_a_tail_falls_in_the_order_of_the_real_counts() -> None:
    drawn = tail_counts(400, COUNTS)

    by_real_size = drawn[[1, 4, 3, 0]]
    assert (np.diff(by_real_size) < 0).all()
    assert by_real_size[0] > 10 * by_real_size[-1]


def test_few_images_have_few_classes() -> None:
    assert tail_counts(17, COUNTS).astype(bool).tolist() == [False, True, False, False, True]


def test_too_few_images_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"have 11 images\. Expected at least 12\. Ask for more"):
        tail_counts(11, COUNTS)


def test_looks_differ() -> None:
    of_two_cuts = looks(["tee", "sweater"])

    assert len(set(of_two_cuts)) == len(of_two_cuts) == 24


def test_a_tint_exchanges_the_colours_alone() -> None:
    plain, tinted = (
        look.draw(np.random.default_rng(1), size=40)
        for look in (looks(["tee"])[0], looks(["tee"])[4])
    )

    np.testing.assert_array_equal(plain.image[:, :, 0], tinted.image[:, :, 1])
    np.testing.assert_array_equal(plain.landmarks, tinted.landmarks)
