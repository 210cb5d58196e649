"""What is tried against the imbalance."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from fdmo_core.config import Run
from fdmo_core.diagnosis.gains import measure_gain
from fdmo_core.diagnosis.prior_correction import cross_validated_predictions
from fdmo_core.diagnosis.remedies import Remedy, fine_tuning_runs, try_remedies
from fdmo_core.feature_space import FeatureSpace
from fdmo_core.interfaces import HeldOut
from fdmo_core.journal import Journal
from fdmo_core.phase2 import rebalance
from fdmo_core.randomness import derive_seed, rng_for
from fdmo_core.registry import Registry

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def runs(tiny_run: Callable[..., Run], registry: Registry) -> dict[str, Run]:
    return fine_tuning_runs(tiny_run(rebalancer={"epochs": 20}), registry)


@pytest.fixture(scope="module")
def remedies(space: FeatureSpace, runs: dict[str, Run]) -> list[Remedy]:
    held_out = space.held_out("validation")
    return try_remedies(space, held_out, runs, seed=3, device=CPU, journal=Journal())


def test_both_runs_differ_in_the_generator_s_part_alone(runs: dict[str, Run]) -> None:
    contents = [run.as_dict() for run in runs.values()]

    assert [one["rebalancer"].pop("artificial") for one in contents] == [False, True]
    assert contents[0] == contents[1]
    assert contents[0]["loss"]["name"] == "cross-entropy"
    assert contents[0]["rebalancer"]["epochs"] == 20  # the run's own


def test_cross_fitted_features_are_not_asked_for(
    tiny_run: Callable[..., Run], registry: Registry
) -> None:
    runs = fine_tuning_runs(tiny_run(crossfit={"dictionary": True}), registry)

    assert [run.core.crossfit.dictionary for run in runs.values()] == [False, False]


def test_prior_correction_comes_first_and_says_its_strength(remedies: list[Remedy]) -> None:
    assert [one.name for one in remedies] == [
        "prior correction",
        "balanced fine-tuning",
        "oversampling",
    ]
    assert remedies[0].over_correction is None
    assert "rebalancer.name = 'logit-adjustment' (its tau was " in (remedies[0].choice)
    assert remedies[2].choice == "generator.name = 'convexgan' and loss.name = 'cross-entropy'"


def test_gains_are_those_of_the_predictions_that_each_remedy_makes(
    space: FeatureSpace, runs: dict[str, Run], remedies: list[Remedy]
) -> None:
    held_out: HeldOut = space.held_out("validation")
    corrected = cross_validated_predictions(
        held_out.logits,
        held_out.labels,
        space.class_counts,
        rng=rng_for(3, "diagnosis", "folds"),
    )
    balanced = rebalance(
        runs["balanced fine-tuning"], space, device=CPU, journal=Journal()
    ).classifier(held_out.features)

    def gain(before: torch.Tensor, after: torch.Tensor) -> Any:
        rng = np.random.default_rng(derive_seed(3, "diagnosis", "bootstrap"))
        return measure_gain(before, after, held_out.labels, rng=rng)

    assert remedies[0].gain == gain(held_out.logits.argmax(1), corrected)
    assert remedies[1].gain == gain(held_out.logits.argmax(1), balanced.argmax(1))
    assert remedies[1].over_correction == gain(corrected, balanced.argmax(1))


def test_every_remedy_helps_where_only_the_prior_is_wrong(remedies: list[Remedy]) -> None:
    assert all(one.gain.acsa_interval[0] > 0 for one in remedies)
