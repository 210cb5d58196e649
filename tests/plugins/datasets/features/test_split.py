import numpy as np

from fdmo_plugins.datasets.features.split import FeatureSplit

FEATURES = np.arange(12, dtype=np.float64).reshape(4, 3)


def test_a_sample_has_features_and_no_image() -> None:
    split = FeatureSplit(FEATURES, None, np.array([2, 0]), np.array([1, 0]), "f.npz")

    sample = split[0]

    assert sample.features is not None
    assert sample.features.tolist() == [6.0, 7.0, 8.0]
    assert sample.image.shape == (0, 0, 3)
    assert (sample.label, split.source(0)) == (1, "f.npz row 2")


def test_a_change_of_a_sample_does_not_reach_the_file() -> None:
    split = FeatureSplit(np.zeros((1, 2), np.float32), None, np.arange(1), np.arange(1), "f")

    first = split[0].features
    assert first is not None
    first += 1

    assert split[0].features is not None
    assert not np.any(split[0].features)


def test_sources_of_the_file_are_told() -> None:
    texts = np.array([b"a.png", "é/long.png".encode()])
    sources = texts.view(np.uint8).reshape(2, -1)
    split = FeatureSplit(FEATURES, sources, np.array([1, 0]), np.array([0, 0]), "f")

    assert [split.source(index) for index in (0, 1)] == ["é/long.png", "a.png"]
