import math

import pytest
import torch

from fdmo_core.randomness import rng_for
from fdmo_core.testing.toys import toy_dictionary
from fdmo_plugins.rebalancers.retraining import descend, draw_batch


def test_classes_are_drawn_by_the_prior_and_features_from_their_class() -> None:
    dictionary = toy_dictionary((40, 12, 4))

    batch = draw_batch(dictionary, torch.tensor([1.0, 3.0, 0.0]), 4000, rng_for(0))

    shares = batch.labels.bincount(minlength=3) / 4000
    assert shares.tolist() == pytest.approx([0.25, 0.75, 0.0], abs=0.03)
    features, labels = dictionary.store
    for feature, label in zip(batch.features[:20], batch.labels[:20], strict=True):
        assert (features[labels == label] == feature).all(dim=1).any()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_the_rate_falls_by_a_cosine(share: float) -> None:
    weight = torch.nn.Parameter(torch.tensor(2.0))

    value = descend(torch.optim.SGD([weight], lr=9.0), 3 * weight, peak=0.1, share=share)

    rate = 0.1 * (1 + math.cos(math.pi * share)) / 2
    assert value == pytest.approx(6.0)
    assert weight.item() == pytest.approx(2 - 3 * rate)
