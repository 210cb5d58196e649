import math

import pytest
import torch
from torch import nn

from fdmo_core.randomness import rng_for
from fdmo_plugins.convexgan.weights import WeightNetwork, masked_softmax, one_hot_weights


def network() -> WeightNetwork:
    torch.manual_seed(0)
    return WeightNetwork(noise_dim=3, num_classes=4, hidden=(5, 6), num_outputs=7)


def test_masked_softmax_matches_a_loop_over_what_is_not_masked() -> None:
    logits = [[0.5, -1.0, 2.0], [3.0, 1.0, 0.0]]
    mask = [[True, False, True], [True, True, True]]

    weights = masked_softmax(torch.tensor(logits), torch.tensor(mask))

    for line, row, shown in zip(weights.tolist(), logits, mask, strict=True):
        total = sum(math.exp(one) for one, is_shown in zip(row, shown, strict=True) if is_shown)
        expected = [math.exp(one) / total * s for one, s in zip(row, shown, strict=True)]
        assert line == pytest.approx(expected, rel=1e-6)


def test_masked_softmax_broadcasts_one_mask_over_the_streams() -> None:
    mask = torch.tensor([[[True, False, True]]])

    weights = masked_softmax(torch.zeros(1, 2, 3), mask)

    assert weights.tolist() == [[[0.5, 0.0, 0.5], [0.5, 0.0, 0.5]]]


def test_padding_gets_no_gradient_and_spoils_none() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)

    masked_softmax(logits, torch.tensor([[True, True, False]]))[0, 0].backward()

    assert logits.grad is not None
    assert logits.grad[0, 2] == 0
    assert (logits.grad[0, :2] != 0).all()


def test_three_layers_have_the_widths_that_are_asked_for() -> None:
    layers = [layer for layer in network().modules() if isinstance(layer, nn.Linear)]

    widths = [(layer.in_features, layer.out_features) for layer in layers]
    assert widths == [(3 + 4, 5), (5, 6), (6, 7)]


def test_the_class_is_told_to_the_network_as_one_hot() -> None:
    built = network().eval()
    noise = torch.randn(2, 3)

    hidden = built.encode(noise, torch.tensor([1, 3]))

    one_hot = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    assert torch.equal(hidden, built.trunk(torch.cat([noise, one_hot], dim=1)))


def test_hidden_layers_are_batch_normalised_and_then_rectified() -> None:
    built = network().train()
    before = built.trunk[:-1]

    hidden = built.encode(torch.randn(64, 3), torch.zeros(64, dtype=torch.int64))

    normalised = before(torch.cat([torch.randn(64, 3), torch.eye(4)[[0] * 64]], dim=1))
    assert torch.allclose(normalised.mean(dim=0), torch.zeros(6), atol=1e-5)
    assert hidden.min() == 0 < hidden.max()


def test_one_hot_weights_take_one_entry_whole_among_those_that_the_mask_allows() -> None:
    mask = torch.tensor([[True, False, True], [False, True, False]]).repeat(50, 1)

    weights = one_hot_weights(mask, rng_for(0))

    assert weights.dtype == torch.float32
    assert weights.sum(dim=1).eq(1).all()
    assert weights.amax(dim=1).eq(1).all()
    assert not weights[~mask].any()


def test_allowed_entries_are_taken_equally_often() -> None:
    mask = torch.tensor([[True, False, True, True]]).repeat(9000, 1)

    shares = one_hot_weights(mask, rng_for(0)).mean(dim=0)

    assert shares.tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3], abs=0.02)  # 4 deviations


def test_the_choice_follows_the_given_randomness() -> None:
    mask = torch.ones(20, 5, dtype=torch.bool)

    first, again, other = (one_hot_weights(mask, rng_for(seed)) for seed in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
