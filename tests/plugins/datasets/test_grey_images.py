import pickle

import numpy as np

from fdmo_plugins.datasets.grey_images import GreySplit

SPLIT = GreySplit(
    np.arange(24, dtype=np.uint8).reshape(4, 2, 3), np.array([1, 0, 1, 0]), np.arange(4), "scans"
)


def test_a_sample_has_its_grey_in_all_three_channels() -> None:
    sample = SPLIT[2]

    assert sample.image.shape == (2, 3, 3)
    for channel in range(3):
        assert sample.image[:, :, channel].tolist() == [[12, 13, 14], [15, 16, 17]]
    assert sample.label == 1


def test_chosen_samples_keep_their_number_in_the_collection() -> None:
    chosen = SPLIT.take(np.array([3, 0]))

    assert [chosen.source(index) for index in (0, 1)] == ["scans 3", "scans 0"]
    assert chosen.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(chosen[1].image, SPLIT[0].image)


def test_the_split_survives_pickling() -> None:
    restored = pickle.loads(pickle.dumps(SPLIT))

    np.testing.assert_array_equal(restored[1].image, SPLIT[1].image)
