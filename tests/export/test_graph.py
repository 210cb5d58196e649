"""What of a trained network is deployed, and what its dials do."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from fdmo_core import preprocessing
from fdmo_core.landmarks import decode_heatmaps
from fdmo_core.run_folder import TrainedRun
from fdmo_core.samples import Splits
from fdmo_export.contract import (
    OUTPUT_FEATURES,
    OUTPUT_LANDMARKS,
    OUTPUT_LOGITS,
    OUTPUT_PROBABILITIES,
    OUTPUT_VISIBILITY,
    WHOLE_IMAGE,
)
from fdmo_export.graph import SMALLEST_PRIOR, DeployedClassifier

TAU = torch.tensor(1.0)


@torch.no_grad()
def answer(
    deployed: DeployedClassifier,
    images: Tensor,
    prior: Tensor | None = None,
    tau: Tensor = TAU,
    box: tuple[float, float, float, float] = WHOLE_IMAGE,
) -> dict[str, Tensor]:
    """Return what the module makes of images of any size, shape ``(B, H, W, 3)``."""
    target = deployed.source_prior if prior is None else prior
    outputs = deployed(images, target, tau, torch.tensor([box]))
    return dict(zip(deployed.output_names, outputs, strict=True))


@pytest.fixture(scope="module")
def squares(images: Tensor) -> Tensor:
    """Letterboxed images as the file takes them. Shape ``(21, 24, 24, 3)``."""
    return images.permute(0, 2, 3, 1)


@pytest.fixture(scope="module")
def scores(trained: TrainedRun, images: Tensor) -> Tensor:
    with torch.no_grad():
        model = trained.model
        found: Tensor = model.main_classifier(model.extract(model.prefix(images.float() / 255)))
    return found


def test_the_outputs_are_those_of_the_contract(
    deployed: DeployedClassifier, trained: TrainedRun, squares: Tensor
) -> None:
    found = answer(deployed, squares)

    num, classes, points = len(squares), len(trained.class_names), len(trained.landmark_names)
    assert {name: value.shape for name, value in found.items()} == {
        OUTPUT_PROBABILITIES: (num, classes),
        OUTPUT_LOGITS: (num, classes),
        OUTPUT_FEATURES: (num, sum(trained.model.stream_dims)),
        OUTPUT_LANDMARKS: (num, points, 2),
        OUTPUT_VISIBILITY: (num, points),
    }
    assert {one.dtype for one in found.values()} == {torch.float32}


def test_with_the_default_prior_the_logits_are_exactly_the_scores(
    deployed: DeployedClassifier, squares: Tensor, scores: Tensor
) -> None:
    for tau in (0.0, 1.0, 3.5):
        assert torch.equal(answer(deployed, squares, tau=torch.tensor(tau))["logits"], scores)


def test_the_features_are_the_joined_ones(
    deployed: DeployedClassifier, trained: TrainedRun, images: Tensor, squares: Tensor
) -> None:
    with torch.no_grad():
        expected = trained.model.extract(trained.model.prefix(images.float() / 255))

    assert torch.equal(answer(deployed, squares)["features"], expected)


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, -2.0])
def test_dials_move_the_logits_as_written_in_a_loop(
    deployed: DeployedClassifier, squares: Tensor, scores: Tensor, tau: float
) -> None:
    target = torch.tensor([0.5] + [0.5 / 11] * 11)

    found = answer(deployed, squares, target, torch.tensor(tau))

    source = deployed.source_prior.tolist()
    for row, probabilities, own in zip(
        found["logits"].tolist(), found["probabilities"].tolist(), scores.tolist(), strict=True
    ):
        moved = [
            score + tau * (math.log(wanted) - math.log(had))
            for score, wanted, had in zip(own, target.tolist(), source, strict=True)
        ]
        total = sum(math.exp(one) for one in moved)
        assert row == pytest.approx(moved, rel=1e-5, abs=1e-5)
        assert probabilities == pytest.approx([math.exp(one) / total for one in moved], rel=1e-4)


def test_a_class_that_never_occurs_is_never_the_answer_and_nothing_is_infinite(
    deployed: DeployedClassifier, squares: Tensor, scores: Tensor
) -> None:
    label = int(scores[0].argmax())
    target = torch.full((12,), 1 / 11)
    target[label] = 0.0

    found = answer(deployed, squares, target)

    assert all(one.isfinite().all() for one in found.values())
    assert found["probabilities"][:, label].max() < 1e-6
    expected = scores[:, label] + math.log(SMALLEST_PRIOR) - deployed.source_prior[label].log()
    torch.testing.assert_close(found["logits"][:, label], expected)


def test_landmarks_are_in_pixels_of_the_image(
    deployed: DeployedClassifier, trained: TrainedRun, tiny_splits: Splits
) -> None:
    sample = tiny_splits.val[0]
    height, width = sample.image.shape[:2]
    box = (width / 8, height / 8, 0.9 * width, 0.7 * height)

    found = answer(deployed, torch.from_numpy(sample.image[np.newaxis]), box=box)["landmarks"][0]

    where = preprocessing.fit_letterbox(width, height, trained.image_size, box=box)
    placed = torch.from_numpy(where.place(found.numpy()))  # the inverse, of training
    cells = (placed + 0.5) * 28 / trained.image_size - 0.5
    torch.testing.assert_close(cells, cells.round(), rtol=0, atol=1e-3)
    assert ((cells > -0.1) & (cells < 27.1)).all()


def test_without_preprocessing_landmarks_are_in_pixels_of_the_square(
    trained: TrainedRun, source_prior: Tensor, images: Tensor
) -> None:
    plain = DeployedClassifier(
        trained.model,
        image_size=24,
        num_landmarks=len(trained.landmark_names),
        source_prior=source_prior,
        preprocessing=False,
    ).eval()

    with torch.no_grad():
        found = dict(zip(plain.output_names, plain(images, source_prior, TAU), strict=True))
        shape_stream = trained.model(trained.model.prefix(images.float() / 255)).shape_stream

    assert plain.input_names == ("images", "target_prior", "tau")
    expected = decode_heatmaps(shape_stream.landmarks.heatmaps, image_size=24)
    assert torch.equal(found["landmarks"], expected)
    expected_visibility = 1 / (1 + (-shape_stream.landmarks.visibility_logits).exp())
    torch.testing.assert_close(found["visibility"], expected_visibility)


def test_whole_images_give_what_their_letterboxed_pixels_give(
    deployed: DeployedClassifier, tiny_splits: Splits
) -> None:
    sample = tiny_splits.val[3]
    assert sample.box is not None
    whole = answer(deployed, torch.from_numpy(sample.image[np.newaxis]), box=sample.box)

    square = preprocessing.prepare(sample, 24).image.permute(1, 2, 0)[None]
    small = answer(deployed, square)

    apart = (whole["probabilities"] - small["probabilities"]).abs().max()
    assert apart < 0.01  # a few pixels are rounded to the other side
