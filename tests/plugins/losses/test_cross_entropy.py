import math

import pytest
import torch

from fdmo_plugins.losses.cross_entropy import CrossEntropyLoss, CrossEntropyLossConfig

LOSS = CrossEntropyLoss(CrossEntropyLossConfig(), class_counts=torch.tensor([40, 9, 2]))


def test_matches_the_formula_written_as_a_loop() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
    labels = torch.tensor([0, 1])

    expected = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        probability = math.exp(row[label]) / sum(math.exp(score) for score in row)
        expected -= math.log(probability) / len(labels)

    assert LOSS(logits, labels).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_computes_in_float32_whatever_the_logits_are(dtype: torch.dtype) -> None:
    logits = torch.tensor([[3.0, 1.0, -2.0]], dtype=dtype)
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
