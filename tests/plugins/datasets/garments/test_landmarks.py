import numpy as np

from fdmo_core.samples import Visibility
from fdmo_plugins.datasets.garments.landmarks import (
    LANDMARK_NAMES,
    MIRRORED_LANDMARKS,
    annotate,
    in_slots,
)

SQUARE = np.array([[0.1, 0.1], [0.4, 0.1], [0.4, 0.4], [0.1, 0.4]])


def test_the_order_is_that_of_deepfashion() -> None:
    parts = [name.split()[1] for name in LANDMARK_NAMES[::2]]

    assert parts == ["collar", "sleeve", "waist", "hem"]


def test_mirrored_landmarks_differ_by_their_side_alone() -> None:
    for left, right in MIRRORED_LANDMARKS:
        assert LANDMARK_NAMES[left].replace("left", "right") == LANDMARK_NAMES[right]


def test_a_part_that_the_garment_lacks_is_absent() -> None:
    slots = in_slots({"hem": (np.array([0.5, 0.6]), np.array([0.7, 0.6]))})

    annotated = annotate(slots, extent=(1.0, 1.0), occluders=[])

    assert annotated[:6].tolist() == [[0.0, 0.0, Visibility.ABSENT]] * 6
    assert annotated[6:].tolist() == [
        [0.5, 0.6, Visibility.VISIBLE],
        [0.7, 0.6, Visibility.VISIBLE],
    ]


def test_a_landmark_behind_an_occluder_is_occluded() -> None:
    slots = in_slots({"hem": (np.array([0.2, 0.2]), np.array([0.7, 0.2]))})

    annotated = annotate(slots, extent=(1.0, 1.0), occluders=[SQUARE])

    assert annotated[6:, 2].tolist() == [Visibility.OCCLUDED, Visibility.VISIBLE]


def test_a_landmark_outside_the_picture_is_truncated_and_keeps_its_place() -> None:
    slots = in_slots({"hem": (np.array([-0.1, 0.2]), np.array([0.8, 0.2]))})

    annotated = annotate(slots, extent=(0.75, 1.0), occluders=[SQUARE])

    assert annotated[6:, 2].tolist() == [Visibility.TRUNCATED] * 2
    assert annotated[6:, 0].tolist() == [-0.1, 0.8]
