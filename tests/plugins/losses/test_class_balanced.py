import math

import pytest
import torch
import torch.nn.functional as F

from fdmo_plugins.losses.class_balanced import ClassBalancedLoss, ClassBalancedLossConfig
from fdmo_plugins.losses.focal import FocalLoss, FocalLossConfig

COUNTS = torch.tensor([40, 9, 2])
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0], [0.3, 1.0, 0.1]])
LABELS = torch.tensor([0, 1, 2])


def class_balanced(beta: float = 0.9, gamma: float = 0.0) -> ClassBalancedLoss:
    return ClassBalancedLoss(ClassBalancedLossConfig(beta=beta, gamma=gamma), class_counts=COUNTS)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_matches_the_formula_written_as_a_loop(gamma: float) -> None:
    beta = 0.9
    raw = [(1 - beta) / (1 - beta**count) for count in COUNTS.tolist()]

    expected = 0.0
    for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        p_t = math.exp(row[label]) / sum(math.exp(score) for score in row)  # before any weight
        weight = 3 * raw[label] / sum(raw)
        expected -= weight * (1 - p_t) ** gamma * math.log(p_t) / len(LABELS)

    loss = class_balanced(beta, gamma)(LOGITS, LABELS)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_beta_0_is_cross_entropy() -> None:
    assert torch.allclose(class_balanced(0.0)(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS))


def test_beta_0_with_gamma_is_the_focal_loss() -> None:
    focal = FocalLoss(FocalLossConfig(gamma=2.0), class_counts=COUNTS)

    loss = class_balanced(0.0, gamma=2.0)(LOGITS, LABELS)

    assert torch.allclose(loss, focal(LOGITS, LABELS))


def test_a_beta_near_1_weighs_by_the_inverse_count() -> None:
    weights = 3 / COUNTS / (1 / COUNTS).sum()

    loss = class_balanced(0.999999)(LOGITS, LABELS)

    terms = F.cross_entropy(LOGITS, LABELS, reduction="none")
    assert torch.allclose(loss, (weights[LABELS] * terms).mean(), rtol=1e-4)


def test_a_class_without_images_changes_nothing_for_the_others() -> None:
    counts = torch.tensor([40, 9, 2, 0])
    with_empty = ClassBalancedLoss(ClassBalancedLossConfig(beta=0.9), class_counts=counts)
    logits = F.pad(LOGITS, (0, 1), value=-1e4)  # no probability

    assert torch.equal(with_empty(logits, LABELS), class_balanced()(LOGITS, LABELS))


def test_nothing_of_it_goes_into_a_checkpoint() -> None:
    assert class_balanced().state_dict() == {}
