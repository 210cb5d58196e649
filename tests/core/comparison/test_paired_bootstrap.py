"""Resampled test sets: the same for all classifiers, of the test set's make-up."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fdmo_core.comparison.paired_bootstrap import resample_metrics, resample_seeds

LABELS = np.repeat([0, 1, 2], [60, 30, 10])


def some_correct(count: int, seed: int = 0) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).uniform(size=(count, len(LABELS))) < 0.7


def drawn(correct: NDArray[np.bool_], samples: int = 400) -> dict[str, NDArray[np.float64]]:
    return resample_metrics(correct, LABELS, samples=samples, rng=np.random.default_rng(1))


def test_a_classifier_that_is_always_right_stays_so() -> None:
    found = drawn(np.ones((1, len(LABELS)), dtype=bool))

    assert found.keys() == {"top1", "acsa", "geometric_mean"}
    for values in found.values():
        assert values == pytest.approx(np.ones((400, 1)))


def test_equal_classifiers_are_equal_on_every_resampled_set() -> None:
    one = some_correct(1)

    for values in drawn(np.concatenate([one, one])).values():
        assert np.array_equal(values[:, 0], values[:, 1])


def test_the_number_of_sets_does_not_depend_on_how_many_are_drawn_at_once() -> None:
    assert drawn(some_correct(2), samples=450)["acsa"].shape == (450, 2)
    assert drawn(some_correct(2), samples=7)["acsa"].shape == (7, 2)


def test_the_spread_is_that_of_stratified_sampling() -> None:
    correct = some_correct(1)
    recalls = [correct[0, one == LABELS].mean() for one in range(3)]
    sizes = [60, 30, 10]
    expected = sum(p * (1 - p) / n for p, n in zip(recalls, sizes, strict=True)) / 9

    found = drawn(correct, samples=20_000)

    assert found["acsa"].var() == pytest.approx(expected, rel=0.05)
    assert found["acsa"].mean() == pytest.approx(np.mean(recalls), abs=0.002)
    top1 = sum(p * n for p, n in zip(recalls, sizes, strict=True)) / 100
    assert found["top1"].mean() == pytest.approx(top1, abs=0.002)


def test_a_pair_that_mostly_agrees_has_a_narrower_difference_than_either_figure() -> None:
    one = some_correct(1)
    other = one.copy()
    other[0, :2] = ~other[0, :2]

    found = drawn(np.concatenate([one, other]))["acsa"]

    assert (found[:, 0] - found[:, 1]).std() < 0.5 * found[:, 0].std()


def test_classes_without_an_image_play_no_part() -> None:
    labels = np.array([0, 0, 5, 5])
    correct = np.array([[True, True, False, False]])

    found = resample_metrics(correct, labels, samples=3, rng=np.random.default_rng(0))

    assert found["acsa"].tolist() == [[0.5]] * 3


def test_resampled_seeds_spread_as_the_mean_of_so_many_does() -> None:
    by_seed = np.array([0.1, 0.4, -0.2, 0.3])

    found = resample_seeds(np.tile(by_seed, (40_000, 1)), np.random.default_rng(0))

    assert found.mean() == pytest.approx(by_seed.mean(), abs=0.002)
    assert found.var() == pytest.approx(by_seed.var() / 4, rel=0.03)


def test_one_seed_is_left_as_it_is() -> None:
    differences = np.array([[0.1], [0.2]])

    assert resample_seeds(differences, np.random.default_rng(0)).tolist() == [0.1, 0.2]
