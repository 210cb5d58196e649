"""Separability, against plain loops."""

import math
from statistics import median

import pytest
import torch
from torch import Tensor

from fdmo_core.classifier import LinearClassifier
from fdmo_core.diagnosis.separability import (
    margins_of,
    measure_separability,
    nearest_mean_recalls,
)
from fdmo_core.interfaces import LabelledFeatures


def rows(sizes: list[int], seed: int = 0, spread: float = 1.0) -> LabelledFeatures:
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    centres = torch.randn(len(sizes), 4, generator=torch.Generator().manual_seed(9))
    noise = torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(seed))
    return LabelledFeatures(centres[labels] + spread * noise, labels)


def looped_nearest_mean(own: LabelledFeatures, learned: LabelledFeatures, classes: int) -> Tensor:
    """Return the recalls with each row left out of its mean by leaving it out."""
    right: list[list[bool]] = [[] for _ in range(classes)]
    for i, (feature, label) in enumerate(zip(*own, strict=True)):
        distances = {}
        for other in range(classes):
            kept = learned.labels == other
            if own is learned:
                kept[i] = False
            if kept.any():
                mean = learned.features[kept].double().mean(dim=0)
                distances[other] = (feature - mean).norm().item()
        right[int(label)].append(min(distances, key=lambda one: distances[one]) == int(label))
    return torch.tensor([sum(one) / len(one) if one else math.nan for one in right])


def test_the_margin_is_to_the_best_other_class() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.5], [0.0, 4.0, -1.0]])

    assert margins_of(logits, torch.tensor([0, 2])).tolist() == [0.5, -5.0]


def test_nearest_means_leave_a_training_row_out_of_its_own() -> None:
    train = rows([9, 5, 2])

    found = nearest_mean_recalls(train, num_classes=3)

    assert found.tolist() == pytest.approx(looped_nearest_mean(train, train, 3).tolist())


def test_nearest_means_of_held_out_rows_are_those_of_the_training_rows() -> None:
    train, held_out = rows([9, 5, 1]), rows([6, 7, 8], seed=1)

    found = nearest_mean_recalls(held_out, means_of=train, num_classes=3)

    assert found.tolist() == pytest.approx(looped_nearest_mean(held_out, train, 3).tolist())


def test_a_class_of_one_row_has_no_mean_without_it() -> None:
    found = nearest_mean_recalls(rows([4, 1, 3]), num_classes=3)

    assert found[1].isnan()
    assert not found[[0, 2]].isnan().any()


def test_a_class_without_rows_attracts_none() -> None:
    train, held_out = rows([4, 3, 0]), rows([4, 3, 2])

    found = nearest_mean_recalls(held_out, means_of=train, num_classes=3)

    assert found[:2].tolist() == pytest.approx(looped_nearest_mean(held_out, train, 3)[:2].tolist())
    assert found[2].isnan()


def test_recalls_and_margins_are_those_of_the_classifier() -> None:
    train, held_out = rows([9, 5, 2]), rows([4, 5, 0], seed=1)
    torch.manual_seed(0)
    classifier = LinearClassifier(4, 3)

    found = measure_separability(train, held_out, classifier, num_classes=3)

    for place, part in enumerate((train, held_out)):
        logits = classifier(part.features).detach()
        for label in range(3):
            own = logits[part.labels == label].double()
            if not len(own):
                assert found.recall[place][label].isnan()
                assert found.margin[place][label].isnan()
                continue
            recall = (own.argmax(dim=1) == label).double().mean().item()
            margins = [
                (one[label] - max(one[other] for other in range(3) if other != label)).item()
                for one in own
            ]
            assert found.recall[place][label].item() == pytest.approx(recall)
            assert found.margin[place][label].item() == pytest.approx(median(margins))


def test_features_that_were_pulled_to_their_means_are_over_separated() -> None:
    train, held_out = rows([20, 20, 20], spread=0.1), rows([20, 20, 20], seed=1, spread=2.0)

    found = measure_separability(train, held_out, LinearClassifier(4, 3), num_classes=3)

    assert (found.nearest_mean[0] > found.nearest_mean[1]).all()
