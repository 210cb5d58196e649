import math

import pytest
import torch
import torch.nn.functional as F

from fdmo_plugins.losses.balanced_softmax import BalancedSoftmaxLoss, BalancedSoftmaxLossConfig

COUNTS = torch.tensor([40, 9, 2])
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0], [0.3, 1.0, 0.1]])
LABELS = torch.tensor([0, 1, 2])


def balanced_softmax(counts: torch.Tensor = COUNTS) -> BalancedSoftmaxLoss:
    return BalancedSoftmaxLoss(BalancedSoftmaxLossConfig(), class_counts=counts)


def test_matches_the_formula_written_as_a_loop() -> None:
    expected = 0.0
    for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        masses = [n * math.exp(score) for n, score in zip(COUNTS.tolist(), row, strict=True)]
        expected -= math.log(masses[label] / sum(masses)) / len(LABELS)

    assert balanced_softmax()(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-5)


def test_equal_classes_make_it_cross_entropy() -> None:
    loss = balanced_softmax(torch.tensor([7, 7, 7]))

    assert torch.allclose(loss(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS))


def test_the_majority_must_be_ahead_by_less_than_a_rare_class_for_the_same_loss() -> None:
    logits = torch.zeros(1, 3)

    majority, rarest = (balanced_softmax()(logits, torch.tensor([label])) for label in (0, 2))

    assert majority < rarest


def test_the_best_logits_under_natural_draws_are_those_of_equally_frequent_classes() -> None:
    loss, labels = balanced_softmax(), torch.arange(3).repeat_interleave(COUNTS)
    logits = torch.zeros(3, requires_grad=True)  # the same of every image: nothing tells classes

    (slope,) = torch.autograd.grad(loss(logits.expand(len(labels), 3), labels), logits)

    assert torch.allclose(slope, torch.zeros(3), atol=1e-6)


def test_a_class_without_images_is_pushed_down_and_stays_finite() -> None:
    loss = balanced_softmax(torch.tensor([40, 9, 2, 0]))
    logits = F.pad(LOGITS, (0, 1)).requires_grad_()

    value = loss(logits, LABELS)
    (slope,) = torch.autograd.grad(value, logits)

    assert value.isfinite()
    assert (slope[:, 3] > 0.1 / len(LABELS)).all()


def test_nothing_of_it_goes_into_a_checkpoint() -> None:
    assert balanced_softmax().state_dict() == {}
