import math

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from fdmo_plugins.losses.focal import FocalLoss, FocalLossConfig


def focal(gamma: float) -> FocalLoss:
    return FocalLoss(FocalLossConfig(gamma=gamma), class_counts=torch.tensor([40, 9, 2]))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_matches_the_formula_written_as_a_loop(gamma: float) -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
    labels = torch.tensor([0, 1])

    expected = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        p_t = math.exp(row[label]) / sum(math.exp(score) for score in row)
        expected -= (1 - p_t) ** gamma * math.log(p_t) / len(labels)

    assert focal(gamma)(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_gamma_0_is_cross_entropy() -> None:
    logits = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(16) % 3

    loss = focal(0.0)(logits, labels)

    assert torch.allclose(loss, F.cross_entropy(logits, labels))


def test_a_larger_gamma_moves_the_gradient_to_the_harder_image() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]], requires_grad=True)
    labels = torch.tensor([0, 0])

    shares = []
    for gamma in (0.0, 1.0, 2.0):
        (gradient,) = torch.autograd.grad(focal(gamma)(logits, labels), logits)
        easy, hard = gradient.abs().sum(dim=1).tolist()
        shares.append(hard / (easy + hard))

    assert shares == sorted(shares)


def test_the_gradient_is_that_of_the_formula() -> None:
    logits = torch.tensor([[1.0, 0.0, -1.0]], requires_grad=True)
    p_t = logits.detach().double().softmax(dim=1)[0, 0].item()

    (gradient,) = torch.autograd.grad(focal(2.0)(logits, torch.tensor([0])), logits)

    slope = 2 * (1 - p_t) * p_t * math.log(p_t) - (1 - p_t) ** 2  # p_t dL / d p_t
    assert gradient[0, 0].item() == pytest.approx(slope * (1 - p_t), rel=1e-4)


def test_half_precision_logits_are_scored_in_float32() -> None:
    logits = torch.tensor([[3.0, 1.0, -2.0]], dtype=torch.bfloat16)
    labels = torch.tensor([1])

    loss = focal(2.0)(logits, labels)

    assert loss.dtype == torch.float32
    assert torch.equal(loss, focal(2.0)(logits.float(), labels))


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("gamma", [0.0, 0.01, 0.5, 1.0, 2.0])
def test_stays_finite_at_extreme_logits(gamma: float, label: int) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)

    loss = focal(gamma)(logits, torch.tensor([label]))
    (gradient,) = torch.autograd.grad(loss, logits)

    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_a_negative_gamma_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        FocalLossConfig(gamma=-1.0)
