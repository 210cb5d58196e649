import math

import pytest
import torch

from fdmo_core.landmarks import decode_heatmaps
from fdmo_core.samples import Visibility
from fdmo_plugins.ldm.heatmaps import gaussian_heatmaps, normalized_error


def test_matches_the_gaussian_written_as_a_loop() -> None:
    x, y, image_size, sigma = 100.3, 31.0, 224, 1.5
    landmarks = torch.tensor([[[x, y, Visibility.VISIBLE]]])

    heatmap = gaussian_heatmaps(landmarks, image_size=image_size, sigma=sigma)[0, 0]

    for row in range(28):
        for column in range(28):
            right = column - ((x + 0.5) * 28 / image_size - 0.5)
            down = row - ((y + 0.5) * 28 / image_size - 0.5)
            expected = math.exp(-(right**2 + down**2) / (2 * sigma**2))
            assert heatmap[row, column].item() == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_the_peak_is_1_where_the_landmark_lies_on_the_centre_of_a_cell() -> None:
    x, y = 8 * 5 + 3.5, 8 * 20 + 3.5  # a cell of a 224 px image has 8 px, its centre is at 3.5
    landmarks = torch.tensor([[[x, y, Visibility.VISIBLE]]])

    heatmap = gaussian_heatmaps(landmarks, image_size=224, sigma=1.0)[0, 0]

    assert heatmap[20, 5] == 1.0
    assert heatmap.max() == 1.0


def test_a_landmark_far_outside_the_picture_leaves_its_map_empty() -> None:
    landmarks = torch.tensor([[[500.0, -300.0, Visibility.TRUNCATED]]])

    heatmaps = gaussian_heatmaps(landmarks, image_size=224, sigma=1.0)

    assert heatmaps.shape == (1, 1, 28, 28)
    assert not heatmaps.any()


@pytest.mark.parametrize("image_size", [32, 64, 224])
def test_decoding_returns_the_landmark_to_within_half_a_cell(image_size: int) -> None:
    rng = torch.Generator().manual_seed(0)
    landmarks = torch.rand(5, 4, 3, generator=rng) * (image_size - 1)

    heatmaps = gaussian_heatmaps(landmarks, image_size=image_size, sigma=1.0)
    positions = decode_heatmaps(heatmaps, image_size=image_size)

    assert positions.shape == (5, 4, 2)
    assert (positions - landmarks[..., :2]).abs().max() <= image_size / 28 / 2 + 1e-3


def test_the_normalized_error_matches_its_definition_written_as_a_loop() -> None:
    rng = torch.Generator().manual_seed(0)
    positions = 63 * torch.rand(6, 3, 2, generator=rng)
    landmarks = 63 * torch.rand(6, 3, 3, generator=rng)
    counted = torch.rand(6, 3, generator=rng) < 0.6

    means = []
    for k in range(3):
        distances = [
            math.dist(positions[b, k].tolist(), landmarks[b, k, :2].tolist()) / 63
            for b in range(6)
            if counted[b, k]
        ]
        means.append(sum(distances) / len(distances))
    error = normalized_error(positions, landmarks, counted=counted, image_size=64)

    assert error.item() == pytest.approx(sum(means) / 3, rel=1e-5)


def test_landmarks_that_do_not_count_leave_the_error_unchanged() -> None:
    landmarks = torch.tensor([[[10.0, 10.0, 3.0], [0.0, 0.0, 0.0]]])
    positions = torch.tensor([[[13.0, 14.0], [60.0, 60.0]]])
    counted = torch.tensor([[True, False]])

    error = normalized_error(positions, landmarks, counted=counted, image_size=64)

    assert error.item() == pytest.approx(5 / 63)


def test_the_error_of_no_landmark_is_nan() -> None:
    landmarks = torch.zeros(2, 3, 3)
    counted = torch.zeros(2, 3, dtype=torch.bool)

    error = normalized_error(landmarks[..., :2], landmarks, counted=counted, image_size=64)

    assert error.isnan()
