import numpy as np

from fdmo_plugins.datasets.garments.figure import FOREARM, UPPER_ARM, body_parts, random_figure


def test_arms_keep_their_length_in_every_pose() -> None:
    for seed in range(20):
        for arm in random_figure(np.random.default_rng(seed)).arms:
            lengths = np.linalg.norm(np.diff(arm, axis=0), axis=1)

            assert np.allclose(lengths, [UPPER_ARM, FOREARM])


def test_hips_are_wider_than_the_waist() -> None:
    figures = [random_figure(np.random.default_rng(seed)) for seed in range(50)]

    assert all(figure.hip > figure.waist for figure in figures)


def test_a_body_stands_between_crown_and_ankle() -> None:
    corners = np.concatenate(body_parts(random_figure(np.random.default_rng(0))))

    assert corners[:, 1].min() < 0.0
    assert corners[:, 1].max() >= 2.9
