"""What of a trained network is deployed."""

import pytest
import torch
from torch import Tensor

from fdmo_core.run_folder import TrainedRun
from fdmo_export.graph import DeployedClassifier


def test_the_outputs_are_probabilities_logits_and_features(
    deployed: DeployedClassifier, trained: TrainedRun, images: Tensor
) -> None:
    probabilities, logits, features = deployed(images)

    classes, length = len(trained.class_names), sum(trained.model.stream_dims)
    assert probabilities.shape == logits.shape == (len(images), classes)
    assert features.shape == (len(images), length)
    assert {one.dtype for one in (probabilities, logits, features)} == {torch.float32}


def test_the_logits_are_the_main_classifier_s_of_pixels_between_0_and_1(
    deployed: DeployedClassifier, trained: TrainedRun, images: Tensor
) -> None:
    _, logits, features = deployed(images)

    with torch.no_grad():
        expected = trained.model.extract(images.float() / 255)
        torch.testing.assert_close(features, expected)
        torch.testing.assert_close(logits, trained.model.main_classifier(expected))


def test_the_probabilities_are_the_softmax_written_as_a_loop(
    deployed: DeployedClassifier, images: Tensor
) -> None:
    probabilities, logits, _ = deployed(images[:3])

    for row, scores in zip(probabilities.tolist(), logits.double(), strict=True):
        total = sum(score.exp().item() for score in scores)
        assert row == pytest.approx([score.exp().item() / total for score in scores], rel=1e-5)
