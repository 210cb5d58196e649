import pytest
import torch

from fdmo_core.randomness import rng_for
from fdmo_core.testing.toys import STREAM_DIMS, toy_dictionary
from fdmo_plugins.oversamplers.drawn_mean import DrawnMean, DrawnMeanConfig


def test_each_feature_is_the_mean_of_what_was_drawn_for_its_class() -> None:
    labels = torch.tensor([1, 2, 2, 0, 1])  # class 2 has fewer rows than are drawn
    drawn = toy_dictionary((20, 9, 3)).draw(labels, samples_per_class=5, rng=rng_for(0))
    generator = DrawnMean(
        DrawnMeanConfig(), num_classes=3, stream_dims=STREAM_DIMS, samples_per_class=5
    )

    features, weights, _ = generator(labels, drawn, rng_for(1))

    assert weights.shape == (5, 2, 5)
    for sample, group in enumerate(drawn.groups.tolist()):
        count = 3 if labels[sample] == 2 else 5
        rows = drawn.rows[group, :count].tolist()
        assert (
            weights[sample].tolist()
            == [[pytest.approx(1 / count)] * count + [0.0] * (5 - count)] * 2
        )
        for column, value in enumerate(features[sample].tolist()):
            expected = sum(drawn.store[row, column].item() for row in rows) / count
            assert value == pytest.approx(expected, abs=1e-5)
