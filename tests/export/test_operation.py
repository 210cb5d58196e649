"""The prior that scores stand for, and thresholds of certainty, against plain loops."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fdmo_core.randomness import rng_for
from fdmo_export.operation import (
    FEWEST_ANSWERS,
    STRENGTHS,
    SourcePrior,
    certain_above,
    measure_prior,
)
from fdmo_export.validation import Scored

COUNTS = np.array([1000, 100, 10], dtype=np.int64)


def scored(logits: Tensor, labels: Tensor) -> Scored:
    nowhere: Any = None  # the split is not read
    return Scored(nowhere, np.arange(len(labels)), logits, labels)


def drawn(strength: float, per_class: int = 1000) -> Scored:
    """Return scores of a network that knows the truth and expects the prior to a power.

    Each class is a bump on a line; the true log-density ratios are exact, the prior is added.
    """
    labels = torch.arange(3).repeat_interleave(per_class)
    places = labels + 0.8 * torch.randn(len(labels), generator=rng_for(0, "operation"))
    densities = -((places[:, None] - torch.arange(3)) ** 2) / (2 * 0.8**2)
    prior = torch.tensor([math.log(count / 1110) for count in COUNTS.tolist()])
    return scored(densities + strength * prior, labels)


@pytest.mark.parametrize("strength", [-0.3, 0.0, 0.5, 1.0, 1.5])
def test_the_strength_that_is_in_the_scores_is_found(strength: float) -> None:
    found = measure_prior(drawn(strength), COUNTS)

    assert found.strength == pytest.approx(strength, abs=0.11)
    assert found.images == 3000


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_the_source_prior_is_the_training_prior_to_that_power(strength: float) -> None:
    found = measure_prior(drawn(strength), COUNTS)

    powers = [(count / 1110) ** found.strength for count in COUNTS.tolist()]
    expected = [one / sum(powers) for one in powers]
    assert found.probabilities.tolist() == pytest.approx(expected, rel=1e-5)
    assert found.probabilities.dtype == torch.float32
    assert found.as_dict() == {
        "source": found.probabilities.tolist(),
        "strength": found.strength,
        "images": 3000,
    }


def test_without_images_all_classes_are_taken_to_be_expected_alike() -> None:
    found = measure_prior(scored(torch.empty(0, 3), torch.empty(0, dtype=torch.int64)), COUNTS)

    assert isinstance(found, SourcePrior)
    assert (found.strength, found.images) == (0.0, 0)
    assert found.probabilities.tolist() == pytest.approx([1 / 3] * 3)


def test_strengths_hold_none_and_all_of_the_prior() -> None:
    assert {0.0, 1.0} <= set(STRENGTHS)
    assert (min(STRENGTHS), max(STRENGTHS)) == (-0.5, 1.5)


def threshold_in_loops(
    probabilities: list[float], right: list[bool], votes: list[float]
) -> float | None:
    """Return the lowest probability from which on votes for right answers are nine of ten."""
    if len(probabilities) < 10:
        return None
    good = []
    for candidate in probabilities:
        above = [i for i, one in enumerate(probabilities) if one >= candidate]
        votes_right = sum(votes[i] for i in above if right[i])
        if votes_right / sum(votes[i] for i in above) >= 0.9:
            good.append(candidate)
    return min(good, default=None)


def test_thresholds_are_those_of_a_loop_over_answers() -> None:
    rng = rng_for(1, "operation")
    labels = torch.cat([torch.zeros(300), torch.ones(60), torch.full((20,), 2.0)]).long()
    logits = 2 * torch.randn(len(labels), 4, generator=rng)
    logits[torch.arange(len(labels)), labels] += 2.5

    found = certain_above(scored(logits, labels), 4)

    probabilities = logits.double().softmax(dim=1)
    sizes = [300, 60, 20]
    expected = []
    for answer in range(4):
        own = [i for i in range(len(labels)) if int(probabilities[i].argmax()) == answer]
        expected.append(
            threshold_in_loops(
                [float(probabilities[i].max()) for i in own],
                [int(labels[i]) == answer for i in own],
                [1 / sizes[int(labels[i])] for i in own],
            )
        )
    assert found["precision"] == 0.9
    assert expected[0] is not None
    for one, other in zip(found["probability"], expected, strict=True):
        assert one is None if other is None else one == pytest.approx(other, rel=1e-12)


def test_a_class_with_few_answers_has_no_threshold() -> None:
    labels = torch.tensor([0] * FEWEST_ANSWERS + [1] * (FEWEST_ANSWERS - 1))
    logits = 9.0 * torch.nn.functional.one_hot(labels, 2)

    found = certain_above(scored(logits, labels), 2)["probability"]

    assert found[0] == pytest.approx(float(torch.tensor([9.0, 0.0]).softmax(dim=0)[0]), rel=1e-6)
    assert found[1] is None


def test_without_images_no_class_has_a_threshold() -> None:
    found = certain_above(scored(torch.empty(0, 3), torch.empty(0, dtype=torch.int64)), 3)

    assert found == {"precision": 0.9, "probability": [None, None, None]}
