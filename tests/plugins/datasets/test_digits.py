import sys
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fdmo_core import ConfigError, Splits
from fdmo_plugins.datasets.digits import LONG_TAIL_COUNTS, DigitsConfig, DigitsDataset

NUM_IMAGES = 1797


def load(seed: int = 0, **options: Any) -> Splits:
    return DigitsDataset(DigitsConfig.model_validate(options), seed=seed).load()


def sources(splits: Splits, name: str) -> list[str]:
    split = splits.named()[name]
    return [split.source(index) for index in range(len(split.labels))]


def test_the_long_tail_has_318_images_of_ten_digits() -> None:
    splits = load()

    assert splits.class_names == tuple("0123456789")
    assert sorted(splits.counts("train"), reverse=True) == list(LONG_TAIL_COUNTS)
    assert splits.counts("train").sum() == 318
    assert splits.counts("val").tolist() == [20] * 10


def test_every_image_is_in_exactly_one_split() -> None:
    splits = load()

    used = [source for name in splits.named() for source in sources(splits, name)]

    assert len(set(used)) == len(used) == NUM_IMAGES


def test_the_seed_draws_which_digits_are_rare() -> None:
    counts = {tuple(load(seed=seed).counts("train").tolist()) for seed in range(4)}

    assert len(counts) == 4


def test_a_seed_gives_the_same_images_again_and_another_seed_others() -> None:
    first, again, other = load(seed=1), load(seed=1), load(seed=2)

    assert sources(first, "train") == sources(again, "train")
    assert first.digest == again.digest != other.digest


def test_no_seed_and_no_profile_changes_the_validation_images() -> None:
    first = sources(load(seed=1), "val")

    assert first == sources(load(seed=2), "val")
    assert first == sources(load(seed=2, profile="step", largest_class=50), "val")


def test_validation_images_are_spread_over_the_collection() -> None:
    numbers = [int(source.split()[1]) for source in sources(load(), "val")]

    assert min(numbers) < NUM_IMAGES / 10
    assert max(numbers) > NUM_IMAGES * 0.9


def test_samples_are_the_digits_that_their_sources_name() -> None:
    splits, digits = load(), load_digits()

    for name in ("train", "test"):
        split = splits.named()[name]
        number = int(split.source(7).removeprefix("digits "))
        sample = split[7]
        assert sample.label == split.labels[7] == digits.target[number]
        expected = np.rint(digits.images[number] / 16 * 255)
        np.testing.assert_array_equal(sample.image[:, :, 1], expected)


def test_other_long_tails_are_computed() -> None:
    counts = load(profile="exponential", largest_class=100, imbalance_ratio=10).counts("train")
    steps = load(profile="step", largest_class=30, imbalance_ratio=3).counts("train")

    assert sorted(counts.tolist(), reverse=True) == [100, 77, 59, 46, 35, 27, 21, 16, 12, 10]
    assert sorted(steps.tolist()) == [10] * 5 + [30] * 5


def test_a_set_without_validation_images_is_possible() -> None:
    splits = load(val_per_class=0)

    assert len(splits.val.labels) == 0
    assert len(splits.test.labels) == NUM_IMAGES - 318


def test_too_large_a_class_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        load(profile="step", largest_class=160, imbalance_ratio=1)

    assert str(caught.value) == (
        "Digit 0 has 178 images. Expected at least 181: 160 to train with, 20 to validate and one "
        "to test. Lower data.val_per_class or data.largest_class."
    )


def test_a_missing_scikit_learn_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)

    with pytest.raises(ConfigError, match=r"not installed.*pip install 'fdmo\[sklearn\]'"):
        load()
