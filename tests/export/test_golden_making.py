"""Golden examples are made of real images, and of nothing that is not needed."""

import math

import numpy as np
import torch
from torch import Tensor

from fdmo_core.preprocessing import prepare
from fdmo_core.run_folder import TrainedRun
from fdmo_core.samples import Sample, Splits
from fdmo_export.golden_making import make_golden
from fdmo_export.graph import DeployedClassifier


def test_an_example_is_the_box_of_an_image_with_the_answer_of_the_training_path(
    deployed: DeployedClassifier, trained: TrainedRun, tiny_splits: Splits
) -> None:
    sample = tiny_splits.val[0]
    assert sample.box is not None

    (found,) = make_golden(deployed, [sample])

    (left, top), (right, bottom) = sample.box[:2], sample.box[2:]
    rows = slice(math.floor(top), math.ceil(bottom))
    assert np.array_equal(found.input, sample.image[rows, math.floor(left) : math.ceil(right)])
    pixels = prepare(sample, 24).image.float()[None] / 255
    with torch.no_grad():
        outputs = trained.model(trained.model.prefix(pixels))
    assert found.outputs.keys() == {"probabilities", "logits", "landmarks", "visibility"}
    np.testing.assert_allclose(found.outputs["logits"], outputs.logits[0].numpy(), rtol=1e-5)


def test_large_images_are_scaled_down(deployed: DeployedClassifier) -> None:
    large = np.random.default_rng(0).integers(0, 256, (300, 900, 3), dtype=np.uint8)

    (found,) = make_golden(deployed, [Sample(large, 0)])

    assert found.input.shape == (85, 256, 3)


def test_of_a_file_without_preprocessing_an_example_is_letterboxed(
    trained: TrainedRun, source_prior: Tensor, tiny_splits: Splits
) -> None:
    plain = DeployedClassifier(
        trained.model,
        image_size=24,
        num_landmarks=8,
        source_prior=source_prior,
        preprocessing=False,
    ).eval()

    (found,) = make_golden(plain, [tiny_splits.val[0]])

    assert np.array_equal(found.input, prepare(tiny_splits.val[0], 24).image.numpy())
