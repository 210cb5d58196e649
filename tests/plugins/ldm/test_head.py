from typing import Any

import pytest
import torch
import torch.nn.functional as F

from fdmo_core import ConfigError, Visibility
from fdmo_plugins.ldm.head import LandmarkDetectionModule, LdmConfig, resample


def build(in_channels: int = 16, image_size: int = 64, **options: Any) -> LandmarkDetectionModule:
    torch.manual_seed(0)
    return LandmarkDetectionModule(
        LdmConfig(**options), in_channels=in_channels, num_landmarks=5, image_size=image_size
    )


def random_maps(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def landmarks_with(visibility: Visibility) -> torch.Tensor:
    return torch.tensor([20.0, 40.0, visibility]).expand(2, 5, 3)


@pytest.mark.parametrize(("height", "width"), [(14, 14), (16, 16), (7, 7), (8, 20), (1, 3)])
def test_resampling_equals_bilinear_interpolation(height: int, width: int) -> None:
    maps = random_maps(2, 3, height, width)

    resampled = resample(maps, 14)

    expected = F.interpolate(maps, size=(14, 14), mode="bilinear", align_corners=False)
    assert torch.allclose(resampled, expected, atol=1e-5)


def test_maps_that_have_the_size_are_not_touched() -> None:
    maps = random_maps(2, 3, 14, 14)

    assert resample(maps, 14) is maps


@pytest.mark.parametrize("side", [7, 14, 16])
def test_predicts_28_by_28_heatmaps_from_maps_of_any_size(side: int) -> None:
    prediction = build()(random_maps(2, 16, side, side))

    assert prediction.heatmaps.shape == (2, 5, 28, 28)
    assert prediction.visibility_logits.shape == (2, 5)


def test_the_default_trunk_has_half_the_channels_of_the_extractor() -> None:
    head = build(in_channels=64)

    shapes = [tuple(weight.shape) for weight in head.trunk.parameters() if weight.dim() == 4]

    assert shapes == [(32, 64, 1, 1), (16, 32, 3, 3), (32, 16, 1, 1)]


def test_a_trunk_of_one_channel_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        build(in_channels=16, width_ratio=0.05)

    assert str(caught.value) == (
        "The landmark head's trunk would have 1 channels: width_ratio 0.05 of the extractor's 16. "
        "Expected at least 2. Set landmark_head.width_ratio to 0.125 or more."
    )


def test_the_losses_are_named_and_weighted() -> None:
    maps, landmarks = random_maps(2, 16, 14, 14), landmarks_with(Visibility.VISIBLE)
    plain, heavy = build(), build(landmark_weight=10.0, visibility_weight=0.5)

    terms = plain.losses(plain(maps), landmarks)
    weighted = heavy.losses(heavy(maps), landmarks)

    assert set(terms) == {"landmark", "visibility"}
    assert torch.allclose(weighted["landmark"], 10 * terms["landmark"])
    assert torch.allclose(weighted["visibility"], terms["visibility"] / 2)


@pytest.mark.parametrize(("weighted", "counts"), [("visible", False), ("in-picture", True)])
def test_occluded_landmarks_count_where_the_config_says_so(weighted: str, counts: bool) -> None:
    head = build(weighted=weighted)
    prediction = head(random_maps(2, 16, 14, 14))

    terms = head.losses(prediction, landmarks_with(Visibility.OCCLUDED))

    target = torch.full((2, 5), float(counts))
    assert bool(terms["landmark"] > 0) is counts
    assert torch.equal(
        terms["visibility"],
        F.binary_cross_entropy_with_logits(prediction.visibility_logits, target),
    )


def test_a_batch_without_visible_landmarks_gives_finite_gradients() -> None:
    head = build()

    terms = head.losses(head(random_maps(2, 16, 16, 16)), landmarks_with(Visibility.ABSENT))
    gradients = torch.autograd.grad(
        terms["landmark"] + terms["visibility"], list(head.parameters())
    )

    assert terms["landmark"].item() == 0
    assert all(gradient.isfinite().all() for gradient in gradients)
