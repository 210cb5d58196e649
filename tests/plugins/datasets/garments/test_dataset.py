import pickle
from typing import Any

import numpy as np
import pytest

from fdmo_core.errors import ConfigError
from fdmo_core.samples import Splits, Visibility
from fdmo_plugins.datasets.garments.cuts import LOWER_CUTS, UPPER_CUTS
from fdmo_plugins.datasets.garments.dataset import GarmentsConfig, GarmentsDataset, GarmentsSplit


def garments(*, seed: int = 0, **settings: Any) -> Splits:
    return GarmentsDataset(GarmentsConfig(**settings), seed=seed).load()


def train_split(*, seed: int = 0, **settings: Any) -> GarmentsSplit:
    split = garments(seed=seed, **settings).train
    assert isinstance(split, GarmentsSplit)
    return split


def test_the_default_training_set_is_long_tailed_by_a_factor_of_100() -> None:
    counts = garments().counts("train")

    assert counts.tolist() == sorted(counts.tolist(), reverse=True)
    assert counts[0] == 100 * counts[-1]
    assert 1100 <= counts.sum() <= 1300


def test_counts_follow_an_exponential_profile() -> None:
    counts = garments(largest_class=50, imbalance_ratio=10.0).counts("train")

    for index, count in enumerate(counts.tolist()):
        assert count == round(50 * (1 / 10.0) ** (index / 11))


def test_a_ratio_of_one_gives_a_balanced_training_set() -> None:
    counts = garments(largest_class=7, imbalance_ratio=1.0).counts("train")

    assert counts.tolist() == [7] * 12


def test_validation_and_test_splits_are_balanced() -> None:
    splits = garments(val_per_class=3, test_per_class=5)

    assert splits.counts("val").tolist() == [3] * 12
    assert splits.counts("test").tolist() == [5] * 12


def test_a_ratio_that_leaves_a_class_empty_is_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        garments(largest_class=20, imbalance_ratio=100.0)

    assert str(caught.value) == (
        "imbalance_ratio = 100 leaves the rarest garment without a training image when "
        "largest_class = 20. Expected a ratio of at most largest_class. Lower "
        "data.imbalance_ratio, or raise data.largest_class to 100 or more."
    )


def test_each_cut_occurs_once_among_the_common_and_once_among_the_rare() -> None:
    cuts = [name.split()[1] for name in garments().class_names]

    assert sorted(cuts[:6]) == sorted(cuts[6:]) == sorted({*UPPER_CUTS, *LOWER_CUTS, "dress"})


def test_each_fabric_occurs_among_the_common_and_among_the_rare() -> None:
    fabrics = [name.split()[0] for name in garments().class_names]

    assert set(fabrics[:6]) == set(fabrics[6:]) == {"knit", "denim", "striped", "checked"}
    assert all(fabrics.count(fabric) == 3 for fabric in fabrics)


def test_a_sample_does_not_depend_on_what_was_read_before() -> None:
    first, second = train_split(), train_split()

    forwards = [first[index].image for index in range(5)]
    backwards = [second[index].image for index in reversed(range(5))]

    for one, other in zip(forwards, reversed(backwards), strict=True):
        assert np.array_equal(one, other)


def test_a_pickled_split_draws_the_same() -> None:
    split = train_split()

    copy = pickle.loads(pickle.dumps(split))

    assert np.array_equal(copy[17].image, split[17].image)
    assert np.array_equal(copy.labels, split.labels)


def test_another_seed_draws_other_pictures_and_changes_the_digest() -> None:
    one, other = garments(seed=0), garments(seed=1)

    assert one.digest != other.digest
    assert not np.array_equal(one.train[0].image, other.train[0].image)


def test_the_digest_depends_on_the_config() -> None:
    assert garments().digest == garments().digest
    assert garments().digest != garments(val_per_class=24).digest


def test_no_picture_occurs_in_two_splits() -> None:
    splits = garments(largest_class=5, imbalance_ratio=1.0, val_per_class=5, test_per_class=5)

    pictures = {
        split[index].image.tobytes() for split in splits.named().values() for index in range(60)
    }

    assert len(pictures) == 180


def test_a_sample_agrees_with_its_label_and_is_a_colour_picture() -> None:
    split = train_split()

    for index in (0, 700, -1):
        sample = split[index]
        assert sample.label == split.labels[index]
        assert sample.image.dtype == np.uint8
        assert sample.image.shape[2] == 3
        assert all(48 <= side <= 80 for side in sample.image.shape[:2])


def test_an_index_beyond_the_end_is_an_error() -> None:
    split = train_split(largest_class=5, imbalance_ratio=1.0)

    with pytest.raises(IndexError):
        split[60]


def test_occluded_and_truncated_landmarks_both_occur() -> None:
    split = train_split(largest_class=20, imbalance_ratio=1.0)

    codes: set[int] = set()
    for index in range(200):
        landmarks = split[index].landmarks
        assert landmarks is not None
        codes.update(landmarks[:, 2].astype(int).tolist())

    assert codes == set(Visibility)


def test_a_sample_can_be_drawn_larger() -> None:
    sample = train_split().draw(3, size=300)

    assert max(sample.image.shape) == 300


def test_a_source_names_the_split_and_the_sample() -> None:
    split = train_split(largest_class=5, imbalance_ratio=1.0)

    assert split.source(4) == "garments/train/4"
    assert split.source(-1) == "garments/train/59"
