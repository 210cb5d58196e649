import numpy as np
import pytest

from fdmo_plugins.datasets.garments.geometry import along, ellipse, inside, ribbon


def test_a_ribbon_along_an_upright_line_is_a_rectangle() -> None:
    band = ribbon([[0.0, 0.0], [0.0, 2.0]], [0.5, 0.5])

    assert band.tolist() == [[-0.5, 0.0], [-0.5, 2.0], [0.5, 2.0], [0.5, 0.0]]


def test_the_corners_of_an_ellipse_satisfy_its_equation() -> None:
    corners = ellipse((1.0, 2.0), (3.0, 0.5))

    for x, y in corners.tolist():
        assert ((x - 1.0) / 3.0) ** 2 + ((y - 2.0) / 0.5) ** 2 == pytest.approx(1.0)


def test_a_line_is_cut_at_the_given_share_of_its_length() -> None:
    line = np.array([[0.0, 0.0], [0.0, 3.0], [4.0, 3.0]])

    cut = along(line, 5.0 / 7.0)

    assert cut == pytest.approx(np.array([[0.0, 0.0], [0.0, 3.0], [2.0, 3.0]]))


def test_a_point_in_a_notch_is_outside() -> None:
    notched = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [1.0, 0.5], [0.0, 2.0]])

    assert inside(notched, np.array([0.3, 1.0]))
    assert not inside(notched, np.array([1.0, 1.5]))
