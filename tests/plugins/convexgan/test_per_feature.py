import math

import pytest
import torch
from torch import Tensor, nn

from fdmo_core import DrawnFeatures
from fdmo_plugins.convexgan.per_feature import per_feature_combination, per_feature_weights

FEATURES, SAMPLES, HIDDEN = 7, 3, 4


def drawn() -> DrawnFeatures:
    store = torch.randn(9, FEATURES, generator=torch.Generator().manual_seed(1))
    rows = torch.tensor([[4, 0, 8], [2, 5, 2]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    return DrawnFeatures(store, rows, mask, groups=torch.tensor([0, 1, 1, 0, 1]))


def last_layer() -> nn.Linear:
    torch.manual_seed(2)
    return nn.Linear(HIDDEN, FEATURES * SAMPLES)


def hidden() -> Tensor:
    return torch.randn(5, HIDDEN, generator=torch.Generator().manual_seed(3)).requires_grad_()


def test_matches_table_1_written_as_loops() -> None:
    inputs, last, sets = hidden(), last_layer(), drawn()

    combined = per_feature_combination(inputs, last, sets, chunk_size=3)

    logits = last(inputs).tolist()
    for sample, group in enumerate(sets.groups.tolist()):
        for feature in range(FEATURES):
            shares = [
                math.exp(logits[sample][feature * SAMPLES + s]) * bool(sets.mask[group, s])
                for s in range(SAMPLES)
            ]
            expected = sum(
                share / sum(shares) * sets.store[sets.rows[group, s], feature].item()
                for s, share in enumerate(shares)
            )
            assert combined[sample, feature].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 7, 100])  # 2 and 3 do not divide 7
def test_value_and_gradients_are_those_of_the_computation_in_one_piece(chunk_size: int) -> None:
    inputs, last, sets = hidden(), last_layer(), drawn()
    learned = [inputs, last.weight, last.bias]
    slope = torch.randn(5, FEATURES, generator=torch.Generator().manual_seed(4))

    chunked = per_feature_combination(inputs, last, sets, chunk_size=chunk_size)
    weights = per_feature_weights(inputs, last, sets)  # (B, F, S)
    whole = torch.einsum("bfs,bsf->bf", weights, sets.features()[sets.groups])

    assert torch.allclose(chunked, whole, atol=1e-6)
    for ours, plain in zip(
        torch.autograd.grad(chunked, learned, slope),
        torch.autograd.grad(whole, learned, slope),
        strict=True,
    ):
        assert torch.allclose(ours, plain, atol=1e-5)


def test_weights_are_convex_for_every_feature_and_0_on_padding() -> None:
    weights = per_feature_weights(hidden(), last_layer(), drawn())

    assert weights.shape == (5, FEATURES, SAMPLES)
    assert torch.allclose(weights.sum(dim=2), torch.ones(5, FEATURES))
    assert not weights[drawn().groups == 1, :, 2].any()


def test_the_result_stays_in_the_bounding_box_of_what_was_drawn() -> None:
    sets = drawn()

    combined = per_feature_combination(hidden(), last_layer(), sets, chunk_size=2)

    for sample, group in enumerate(sets.groups.tolist()):
        own = sets.store[sets.rows[group][sets.mask[group]]]
        assert (combined[sample] >= own.amin(dim=0) - 1e-6).all()
        assert (combined[sample] <= own.amax(dim=0) + 1e-6).all()


def test_weights_per_feature_can_leave_the_convex_hull() -> None:
    store = torch.eye(2)  # the hull is the line between (1, 0) and (0, 1)
    sets = DrawnFeatures(
        store, torch.tensor([[0, 1]]), torch.tensor([[True, True]]), torch.tensor([0])
    )
    last = nn.Linear(1, 4)
    with torch.no_grad():
        last.bias.copy_(torch.tensor([9.0, 0.0, 0.0, 9.0]))  # feature 0 from row 0, 1 from row 1

    combined = per_feature_combination(torch.zeros(1, 1), last, sets, chunk_size=1)

    assert combined[0].tolist() == pytest.approx([1.0, 1.0], abs=1e-3)
