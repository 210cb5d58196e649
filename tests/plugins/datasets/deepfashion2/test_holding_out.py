import numpy as np
import pytest
from numpy.typing import NDArray

from fdmo_plugins.datasets.deepfashion2.holding_out import drawn_to_validate


def long_tailed(seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return labels and pairs of 3,000 items, some two to an image, five to a pair."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(13, size=3000, p=np.geomspace(100, 1, 13) / np.geomspace(100, 1, 13).sum())
    return labels, 7 * (np.arange(3000) // 5)


@pytest.mark.parametrize("seed", range(3))
def test_a_pair_is_on_one_side(seed: int) -> None:
    labels, pairs = long_tailed(seed)

    validates = drawn_to_validate(labels, pairs, share=0.2, seed=seed)

    assert not set(pairs[validates]) & set(pairs[~validates])


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_about_the_share_of_each_class_is_drawn(share: float) -> None:
    labels, pairs = long_tailed(0)

    validates = drawn_to_validate(labels, pairs, share=share, seed=0)

    totals, drawn = np.bincount(labels), np.bincount(labels[validates], minlength=13)
    assert (np.abs(drawn - share * totals) <= 3).all()


def test_a_class_keeps_an_item_to_train_with() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    pairs = np.array([1, 1, 2, 3, 4])

    validates = drawn_to_validate(labels, pairs, share=0.9, seed=0)

    assert validates[:2].tolist() == [False, False]
    assert validates[2:4].sum() == 1
    assert not validates[4]


def test_the_seed_decides_and_a_share_of_nothing_draws_nothing() -> None:
    labels, pairs = long_tailed(0)
    first, again, other = (
        drawn_to_validate(labels, pairs, share=0.1, seed=seed) for seed in (0, 0, 1)
    )

    assert (first == again).all()
    assert (first != other).any()
    assert not drawn_to_validate(labels, pairs, share=0, seed=0).any()
