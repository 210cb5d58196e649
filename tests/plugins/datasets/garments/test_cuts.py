import numpy as np
import pytest

from fdmo_plugins.datasets.garments.cuts import CUTS, LOWER_CUTS, UPPER_CUTS
from fdmo_plugins.datasets.garments.figure import random_figure
from fdmo_plugins.datasets.garments.geometry import Points

SLOTS = {
    **dict.fromkeys(UPPER_CUTS, (0, 1, 2, 3, 6, 7)),
    **dict.fromkeys(LOWER_CUTS, (4, 5, 6, 7)),
    "dress": (0, 1, 2, 3, 4, 5, 6, 7),
}


def landmarks(cut: str, seed: int) -> Points:
    rng = np.random.default_rng(seed)
    return CUTS[cut](rng, random_figure(rng)).landmarks


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_has_the_landmarks_of_its_type(cut: str) -> None:
    present = np.flatnonzero(~np.isnan(landmarks(cut, seed=0)[:, 0]))

    assert present.tolist() == list(SLOTS[cut])


@pytest.mark.parametrize("cut", CUTS)
def test_left_landmarks_lie_left_of_right_ones(cut: str) -> None:
    for seed in range(20):
        points = landmarks(cut, seed)[list(SLOTS[cut])]

        assert (points[::2, 0] < points[1::2, 0]).all()


def test_the_hems_of_shorts_and_trousers_overlap() -> None:
    longest_shorts = max(landmarks("shorts", seed)[6, 1] for seed in range(200))
    shortest_trousers = min(landmarks("trousers", seed)[6, 1] for seed in range(200))

    assert shortest_trousers < longest_shorts
