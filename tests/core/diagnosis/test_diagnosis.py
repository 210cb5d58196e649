"""The whole diagnosis of a feature space."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from fdmo_core.config import Run
from fdmo_core.diagnosis.diagnosis import Diagnosis, diagnose
from fdmo_core.diagnosis.remedies import fine_tuning_runs
from fdmo_core.errors import DataError
from fdmo_core.feature_space import FeatureSpace
from fdmo_core.interfaces import LabelledFeatures
from fdmo_core.journal import Journal
from fdmo_core.registry import Registry

Diagnose = Callable[[FeatureSpace], Diagnosis]


@pytest.fixture(scope="module")
def diagnosed(tiny_run: Callable[..., Run], registry: Registry) -> Diagnose:
    runs = fine_tuning_runs(tiny_run(), registry)

    def of(space: FeatureSpace) -> Diagnosis:
        return diagnose(space, runs, seed=0, device=torch.device("cpu"), journal=Journal())

    return of


def test_the_figures_of_phase_1_are_those_of_its_classifier(
    diagnosed: Diagnose, space: FeatureSpace
) -> None:
    found = diagnosed(space)

    features, labels = space.splits["val"]
    predicted = space.classifier(features).argmax(dim=1)
    recalls = [(predicted[labels == one] == one).double().mean().item() for one in range(3)]
    assert found.acsa == pytest.approx(sum(recalls) / 3)
    assert found.separability.recall[1].tolist() == pytest.approx(recalls)
    assert found.validation_counts.tolist() == [40, 40, 8]
    worst = found.confusions[0]
    mistaken = (predicted[labels == worst.label] == worst.taken_for).sum().item()
    assert worst.num_images == mistaken
    assert "8 in class 'Kimono'" in found.recommendation.cautions[0]


def test_json_has_null_for_what_cannot_be_told(diagnosed: Diagnose, space: FeatureSpace) -> None:
    features, labels = space.splits["val"]
    kept = LabelledFeatures(features[labels != 2], labels[labels != 2])
    found = diagnosed(replace(space, splits={**space.splits, "val": kept}))

    content = json.loads(json.dumps(found.as_dict(), allow_nan=False))

    assert content["classes"]["Kimono"]["val"] == 0
    assert content["classes"]["Kimono"]["recall"]["val"] is None
    assert content["classes"]["Kimono"]["recall"]["ratio"] is None
    own = content["classes"]["coat"]["nearest_mean_recall"]
    assert own["ratio"] == pytest.approx(own["train"] / own["val"])
    assert [one["name"] for one in content["remedies"]] == [
        "prior correction",
        "balanced fine-tuning",
        "oversampling",
    ]
    assert content["imbalance_ratio"] == 25


def test_the_test_split_has_no_say(diagnosed: Diagnose, space: FeatureSpace) -> None:
    other = {
        **space.splits,
        "test": LabelledFeatures(torch.full((9, 8), torch.nan), torch.zeros(9)),
    }

    assert diagnosed(replace(space, splits=other)).as_dict() == diagnosed(space).as_dict()


def test_classes_of_equal_size_are_tried_no_remedy_on(
    diagnosed: Diagnose, space: FeatureSpace
) -> None:
    found = diagnosed(replace(space, class_counts=torch.tensor([50, 50, 50])))

    assert found.remedies == ()
    assert found.recommendation.verdict.startswith("All classes have equally many")


def test_without_validation_images_nothing_is_judged(
    diagnosed: Diagnose, space: FeatureSpace
) -> None:
    with pytest.raises(DataError) as caught:
        diagnosed(replace(space, splits={**space.splits, "val": space.splits["test"]}))

    assert str(caught.value) == (
        "The validation split is empty. Expected images that phase 1 did not learn from, to judge "
        "by. Give the data a validation split."
    )
