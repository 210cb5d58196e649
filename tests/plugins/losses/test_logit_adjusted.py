import math

import pytest
import torch
import torch.nn.functional as F

from fdmo_plugins.losses.balanced_softmax import BalancedSoftmaxLoss, BalancedSoftmaxLossConfig
from fdmo_plugins.losses.logit_adjusted import LogitAdjustedLoss, LogitAdjustedLossConfig

COUNTS = torch.tensor([40, 9, 2])
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0], [0.3, 1.0, 0.1]])
LABELS = torch.tensor([0, 1, 2])


def logit_adjusted(tau: float, counts: torch.Tensor = COUNTS) -> LogitAdjustedLoss:
    return LogitAdjustedLoss(LogitAdjustedLossConfig(tau=tau), class_counts=counts)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_matches_the_formula_written_as_a_loop(tau: float) -> None:
    shares = [count / 51 for count in COUNTS.tolist()]

    expected = 0.0
    for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        scores = [score + tau * math.log(pi) for score, pi in zip(row, shares, strict=True)]
        probability = math.exp(scores[label]) / sum(math.exp(score) for score in scores)
        expected -= math.log(probability) / len(LABELS)

    assert logit_adjusted(tau)(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("counts", [[40, 9, 2], [40, 0, 2]])
def test_strength_1_is_balanced_softmax(counts: list[int]) -> None:
    balanced = BalancedSoftmaxLoss(BalancedSoftmaxLossConfig(), class_counts=torch.tensor(counts))

    loss = logit_adjusted(1.0, torch.tensor(counts))(LOGITS, LABELS)

    assert torch.equal(loss, balanced(LOGITS, LABELS))


def test_strength_0_is_cross_entropy() -> None:
    loss = logit_adjusted(0.0)(LOGITS, LABELS)

    assert torch.equal(loss, F.cross_entropy(LOGITS, LABELS))


def test_a_class_without_images_stays_finite() -> None:
    logits = (1e4 * LOGITS).requires_grad_()

    value = logit_adjusted(3.0, torch.tensor([40, 9, 0]))(logits, LABELS[[0, 1, 1]])
    (slope,) = torch.autograd.grad(value, logits)

    assert value.isfinite()
    assert slope.isfinite().all()


def test_nothing_of_it_goes_into_a_checkpoint() -> None:
    assert logit_adjusted(1.0).state_dict() == {}
