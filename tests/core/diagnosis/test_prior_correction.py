"""Logit adjustment with a strength of its own choice."""

import pytest
import torch
from torch import Tensor

from fdmo_core.classifier import LinearClassifier
from fdmo_core.diagnosis.prior_correction import (
    choose_strength,
    cross_validated_predictions,
    deal_folds,
)
from fdmo_core.interfaces import HeldOut, Phase2Parts
from fdmo_core.registry import Registry
from fdmo_core.testing.toys import ToyDictionary, ToyDictionaryConfig, ToyLoss, ToyLossConfig

COUNTS = torch.tensor([900, 90, 10])


def biased(rows_a_class: int, seed: int = 0, strength: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return scores that follow the prior by a known strength, and labels."""
    labels = torch.arange(3).repeat(rows_a_class)
    noise = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed))
    fair = 2.5 * torch.nn.functional.one_hot(labels, 3) + noise
    return fair + strength * (COUNTS / COUNTS.sum()).log(), labels


def acsa(predicted: Tensor, labels: Tensor) -> float:
    return sum((predicted[labels == one] == one).double().mean().item() for one in range(3)) / 3


@pytest.mark.parametrize("strength", [0.5, 1.0, 1.5])
def test_the_strength_that_the_prior_came_in_with_is_found(strength: float) -> None:
    logits, labels = biased(2000, strength=strength)

    assert choose_strength(logits, labels, COUNTS) == pytest.approx(strength, abs=0.11)


def test_it_is_the_strength_that_logit_adjustment_chooses(registry: Registry) -> None:
    logits, labels = biased(40)
    rebalancer = registry.find("logit-adjustment").component
    classifier = LinearClassifier(3, 3)
    torch.nn.init.eye_(classifier.weight)
    torch.nn.init.zeros_(classifier.bias)
    held = HeldOut(logits, classifier(logits).detach(), labels)
    parts = Phase2Parts(
        classifier=classifier,
        dictionary=ToyDictionary(ToyDictionaryConfig(), num_classes=3, stream_dims=(3,), seed=0),
        class_counts=COUNTS,
        make_generator=lambda _: pytest.fail("no generator is asked for"),
        loss=ToyLoss(ToyLossConfig(), class_counts=COUNTS),
        held_out=lambda _: held,
        rng=torch.Generator(),
    )

    adjusted = rebalancer(rebalancer.config_class(), parts=parts).classifier

    bias = adjusted.get_parameter("bias")
    expected = -choose_strength(logits, labels, COUNTS) * (COUNTS / 1000).log()
    assert torch.allclose(bias, expected, atol=1e-5)


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
