"""Logit adjustment with a strength of its own choice."""

import pytest
import torch
from torch import Tensor

from fdmo_core.diagnosis.prior_correction import (
    STRENGTHS,
    choose_strength,
    cross_validated_predictions,
    deal_folds,
)

COUNTS = torch.tensor([900, 90, 10])


def biased(rows_a_class: int, seed: int = 0, strength: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return scores that follow the prior by a known strength, and labels."""
    labels = torch.arange(3).repeat(rows_a_class)
    noise = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed))
    fair = 2.5 * torch.nn.functional.one_hot(labels, 3) + noise
    return fair + strength * (COUNTS / COUNTS.sum()).log(), labels


def acsa(predicted: Tensor, labels: Tensor) -> float:
    return sum((predicted[labels == one] == one).double().mean().item() for one in range(3)) / 3


def test_the_strength_has_the_largest_mean_recall() -> None:
    logits, labels = biased(300)

    found = choose_strength(logits, labels, COUNTS)

    prior = (COUNTS / 1000).log()
    reached = [acsa((logits - one * prior).argmax(dim=1), labels) for one in STRENGTHS]
    assert reached[STRENGTHS.index(found)] == pytest.approx(max(reached))
    assert found == pytest.approx(1, abs=0.4)


def test_of_equally_good_strengths_it_is_the_one_nearest_to_1() -> None:
    assert choose_strength(99 * torch.eye(3), torch.arange(3), COUNTS) == 1


def test_each_row_is_predicted_by_a_strength_that_others_chose() -> None:
    logits, labels = biased(7)

    found = cross_validated_predictions(
        logits, labels, COUNTS, rng=torch.Generator().manual_seed(0)
    )

    changed = labels.clone()
    changed[0] = 2  # its own label has no say in its own prediction
    again = cross_validated_predictions(
        logits, changed, COUNTS, rng=torch.Generator().manual_seed(0)
    )
    assert found.shape == labels.shape
    assert set(found.tolist()) <= {0, 1, 2}
    assert acsa(found, labels) > acsa(logits.argmax(dim=1), labels)
    assert again[0] == found[0]


def test_folds_hold_a_fifth_of_each_class() -> None:
    labels = torch.tensor([0] * 20 + [1] * 10 + [2] * 5)

    folds = deal_folds(labels, torch.Generator().manual_seed(0))

    for label, size in enumerate((20, 10, 5)):
        assert folds[labels == label].bincount(minlength=5).tolist() == [size // 5] * 5


def test_a_single_row_is_predicted_as_it_is() -> None:
    logits = torch.tensor([[0.0, 1.0, 0.5]])

    found = cross_validated_predictions(
        logits, torch.tensor([2]), COUNTS, rng=torch.Generator().manual_seed(0)
    )

    assert found.tolist() == [1]
