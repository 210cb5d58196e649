import math

import pytest
import torch
from torch import nn

from fdmo_plugins.convexgan.discriminator import Discriminator


def discriminator(*, is_probability: bool = True) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(feature_dim=3, num_classes=2, hidden=(4, 5), is_probability=is_probability)


def test_three_layers_see_the_joined_feature_and_the_class() -> None:
    layers = [layer for layer in discriminator().modules() if isinstance(layer, nn.Linear)]

    widths = [(layer.in_features, layer.out_features) for layer in layers]
    assert widths == [(3 + 2, 4), (4, 5), (5, 1)]


def test_matches_the_layers_written_as_loops() -> None:
    judge = discriminator()
    feature, label = [0.5, -1.0, 2.0], 1

    values = [*feature, float(label == 0), float(label == 1)]
    layers = [layer for layer in judge.modules() if isinstance(layer, nn.Linear)]
    for layer in layers:
        sums = [
            sum(weight * value for weight, value in zip(row, values, strict=True)) + bias
            for row, bias in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        ]
        values = sums if layer is layers[-1] else [one if one > 0 else 0.1 * one for one in sums]
    expected = 1 / (1 + math.exp(-values[0]))

    scores = judge(torch.tensor([feature]), torch.tensor([label]))
    assert scores.shape == (1,)
    assert scores.item() == pytest.approx(expected, rel=1e-5)


def test_one_feature_scores_otherwise_as_another_class() -> None:
    features = torch.ones(2, 3)

    first, second = discriminator()(features, torch.tensor([0, 1])).tolist()

    assert first != second


def test_without_the_sigmoid_scores_are_its_argument() -> None:
    features, labels = 9 * torch.ones(1, 3), torch.tensor([0])

    linear = discriminator(is_probability=False)(features, labels)

    assert torch.equal(linear.sigmoid(), discriminator()(features, labels))
