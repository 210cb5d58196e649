import math

import pytest
import torch

from fdmo_plugins.losses.squared_error import SquaredErrorLoss, SquaredErrorLossConfig

LOSS = SquaredErrorLoss(SquaredErrorLossConfig(), class_counts=torch.tensor([40, 9, 2]))


def test_matches_the_formula_written_as_a_loop() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
    labels = torch.tensor([0, 1])

    expected = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        total = sum(math.exp(score) for score in row)
        for index, score in enumerate(row):
            expected += (math.exp(score) / total - (index == label)) ** 2 / logits.numel()

    assert LOSS(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_a_sure_mistake_costs_two_over_the_number_of_classes() -> None:
    logits = torch.tensor([[100.0, 0.0, 0.0]])

    loss = LOSS(logits, torch.tensor([1]))

    assert loss.item() == pytest.approx(2 / 3)


def test_half_precision_logits_are_scored_in_float32() -> None:
    logits = torch.tensor([[3.0, 1.0, -2.0]], dtype=torch.bfloat16)
    labels = torch.tensor([1])

    loss = LOSS(logits, labels)

    assert loss.dtype == torch.float32
    assert torch.equal(loss, LOSS(logits.float(), labels))


@pytest.mark.parametrize("label", [0, 1])
def test_stays_finite_at_extreme_logits(label: int) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)

    loss = LOSS(logits, torch.tensor([label]))
    (gradient,) = torch.autograd.grad(loss, logits)

    assert loss.isfinite()
    assert gradient.isfinite().all()
