"""The reference answers are those of the training path, sample by sample."""

import numpy as np
import torch
from torch import Tensor

from fdmo_core import preprocessing
from fdmo_core.batches import scale_pixels
from fdmo_core.run_folder import TrainedRun
from fdmo_core.samples import Splits
from fdmo_export.graph import DeployedClassifier
from fdmo_export.reference import answer_samples, settled_landmarks


def test_samples_of_several_sizes_are_answered_as_in_training(
    deployed: DeployedClassifier, trained: TrainedRun, tiny_splits: Splits
) -> None:
    samples = [tiny_splits.val[row] for row in range(4)]

    found = answer_samples(deployed, samples)

    for row, sample in enumerate(samples):
        pixels = preprocessing.prepare(sample, 24).image[None]
        with torch.no_grad():
            outputs = trained.model(trained.model.prefix(scale_pixels(pixels)))
        np.testing.assert_allclose(found["logits"][row], outputs.logits[0], rtol=1e-4, atol=1e-5)
        height, width = sample.image.shape[:2]
        where = preprocessing.fit_letterbox(width, height, 24, box=sample.box)
        cells = (where.place(found["landmarks"][row]) + 0.5) * 28 / 24 - 0.5
        largest = outputs.shape_stream.landmarks.heatmaps[0].flatten(start_dim=1).argmax(dim=1)
        expected = torch.stack((largest % 28, largest // 28), dim=1)
        np.testing.assert_allclose(cells, expected, atol=1e-3)


def test_a_landmark_is_settled_if_its_best_cell_is_clearly_ahead_of_every_other(
    deployed: DeployedClassifier, trained: TrainedRun, images: Tensor
) -> None:
    with torch.no_grad():
        outputs = trained.model(trained.model.prefix(scale_pixels(images)))
    heatmaps = outputs.shape_stream.landmarks.heatmaps.double()
    limit = 1e-4 * max(1.0, float(heatmaps.abs().max()))

    found = settled_landmarks(deployed, images)

    for row, one in enumerate(heatmaps.tolist()):
        for point, heatmap in enumerate(one):
            cells = sorted((cell for line in heatmap for cell in line), reverse=True)
            if abs(cells[0] - cells[1] - limit) > 1e-6:
                assert found[row, point] == (cells[0] - cells[1] > limit)
