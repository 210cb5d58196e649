import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fdmo_core.augmentation import AugmentationConfig, augment, draw_changes
from fdmo_core.randomness import rng_for
from fdmo_core.samples import Visibility

NOTHING: dict[str, Any] = {
    "mirror": False,
    "rotation": 0,
    "zoom": 0,
    "shift": 0,
    "brightness": 0,
    "contrast": 0,
}
SIZE = 40
CENTRE = (SIZE - 1) / 2


def only(**options: Any) -> AugmentationConfig:
    return AugmentationConfig.model_validate(NOTHING | options)


def changed(
    images: Tensor,
    landmarks: Tensor,
    config: AugmentationConfig,
    *,
    seed: int = 0,
    pairs: tuple[tuple[int, int], ...] = (),
) -> tuple[Tensor, Tensor]:
    changes = draw_changes(len(images), config, rng_for(seed))
    return augment(images, landmarks, changes, mirrored_landmarks=pairs)


def spots(count: int = 64) -> tuple[Tensor, Tensor]:
    """Return dark images with a spot each, and the landmark in its middle."""
    middles = torch.randint(12, 28, (count, 2), generator=rng_for(0, "spots"))
    images = torch.zeros(count, 3, SIZE, SIZE)
    for image, (x, y) in zip(images, middles.tolist(), strict=True):
        image[:, y - 1 : y + 2, x - 1 : x + 2] = 1.0
    visible = torch.full((count, 1), float(Visibility.VISIBLE))
    return images, torch.cat([middles.float(), visible], dim=1).unsqueeze(1)


def middles_of_brightness(images: Tensor) -> Tensor:
    """Return x and y of each image's centre of brightness. Shape ``(B, 2)``."""
    pixels = torch.arange(SIZE, dtype=torch.float32)
    brightness = images.mean(dim=1)
    weight = brightness.sum(dim=(1, 2))
    x = (brightness.sum(dim=1) * pixels).sum(dim=1) / weight
    y = (brightness.sum(dim=2) * pixels).sum(dim=1) / weight
    return torch.stack([x, y], dim=1)


def mirrored_ones(found: Tensor, images: Tensor) -> list[bool]:
    pairs = zip(found, images.flip(3), strict=True)
    return [torch.allclose(one, mirrored, atol=1e-4) for one, mirrored in pairs]


def noise(count: int) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=rng_for(0, "noise"))


def no_landmarks(count: int) -> Tensor:
    return torch.zeros(count, 0, 3)


def test_whether_any_change_is_asked_for_is_known() -> None:
    assert not only().any()
    for option in NOTHING:
        assert only(**{option: True if option == "mirror" else 0.1}).any()


def test_nothing_asked_for_changes_nothing() -> None:
    images, landmarks = spots()

    same_images, same_landmarks = changed(images, landmarks, only(), pairs=((0, 0),))

    torch.testing.assert_close(same_images, images, rtol=0, atol=1e-5)
    torch.testing.assert_close(same_landmarks, landmarks, rtol=0, atol=1e-4)


@pytest.mark.parametrize("share", [slice(0, None, 3), slice(2, None, 3), slice(7, None)])
def test_an_image_is_changed_alike_whoever_else_is_changed_with_it(share: slice) -> None:
    images, landmarks = spots(8)
    changes = draw_changes(8, AugmentationConfig(), rng_for(0))
    whole, moved = augment(images, landmarks, changes, mirrored_landmarks=())

    some, some_moved = augment(
        images[share], landmarks[share], changes.of(share), mirrored_landmarks=()
    )

    torch.testing.assert_close(some, whole[share], rtol=0, atol=1e-6)
    torch.testing.assert_close(some_moved, moved[share], rtol=0, atol=1e-6)


@pytest.mark.parametrize("option", NOTHING)
def test_each_option_changes_images_by_itself(option: str) -> None:
    images = noise(8)

    found, _ = changed(images, no_landmarks(8), only(**{option: 0.5 if option != "mirror" else 1}))

    assert not torch.allclose(found, images, atol=1e-3)


@pytest.mark.parametrize(
    "config",
    [
        only(mirror=True),
        only(rotation=180),
        only(zoom=0.3),
        only(shift=0.2),
        only(mirror=True, rotation=40, zoom=0.2, shift=0.1),
    ],
    ids=["mirror", "rotation", "zoom", "shift", "all"],
)
def test_landmarks_follow_the_image(config: AugmentationConfig) -> None:
    images, landmarks = spots()

    moved_images, moved = changed(images, landmarks, config)

    is_well_inside = ((moved[:, 0, :2] - CENTRE).abs() < CENTRE - 3).all(dim=1)
    assert is_well_inside.sum() > 40
    found = middles_of_brightness(moved_images)[is_well_inside]
    torch.testing.assert_close(found, moved[is_well_inside, 0, :2], rtol=0, atol=0.2)
    assert (moved[is_well_inside, 0, 2] == Visibility.VISIBLE).all()
    assert not torch.allclose(moved[:, :, :2], landmarks[:, :, :2], atol=1)


def test_about_half_of_the_images_are_mirrored_and_the_others_stay() -> None:
    images = noise(400)

    found, _ = changed(images, no_landmarks(400), only(mirror=True))

    is_mirrored = torch.tensor(mirrored_ones(found, images))
    torch.testing.assert_close(found[~is_mirrored], images[~is_mirrored], rtol=0, atol=1e-4)
    assert 160 <= is_mirrored.sum() <= 240  # 4 standard deviations


def test_paired_landmarks_change_places_in_a_mirrored_image_only() -> None:
    images = noise(16)
    given = torch.tensor([[5.0, 7, 3], [30, 8, 2], [20, 11, 3], [9, 30, 0], [33, 31, 1]])

    found, moved = changed(
        images, given.repeat(16, 1, 1), only(mirror=True), pairs=((0, 1), (3, 4))
    )

    mirrored = torch.tensor([[9.0, 8, 2], [34, 7, 3], [19, 11, 3], [6, 31, 1], [30, 30, 0]])
    is_mirrored = mirrored_ones(found, images)
    assert set(is_mirrored) == {False, True}
    for landmarks, turned in zip(moved, is_mirrored, strict=True):
        torch.testing.assert_close(landmarks, mirrored if turned else given, rtol=0, atol=1e-4)


def test_a_turn_keeps_distances_and_stays_within_its_angle() -> None:
    _, landmarks = spots(200)

    _, moved = changed(torch.zeros(200, 3, SIZE, SIZE), landmarks, only(rotation=30))

    old, new = ((one[:, 0, :2] - CENTRE).double() for one in (landmarks, moved))
    torch.testing.assert_close(new.norm(dim=1), old.norm(dim=1), rtol=1e-4, atol=1e-4)
    turns = torch.atan2(new[:, 1], new[:, 0]) - torch.atan2(old[:, 1], old[:, 0])
    turns = torch.rad2deg(torch.remainder(turns + math.pi, 2 * math.pi) - math.pi)
    assert 28 < turns.max() <= 30.001
    assert -30.001 <= turns.min() < -28


def test_a_zoom_scales_distances_within_its_share() -> None:
    _, landmarks = spots(200)

    _, moved = changed(torch.zeros(200, 3, SIZE, SIZE), landmarks, only(zoom=0.25))

    old, new = (one[:, 0, :2] - CENTRE for one in (landmarks, moved))
    scales = new.norm(dim=1) / old.norm(dim=1)
    torch.testing.assert_close(new, old * scales.unsqueeze(1), rtol=0, atol=1e-3)
    assert 1.2 < scales.max() <= 1.2501
    assert 0.7499 <= scales.min() < 0.8


def test_a_shift_moves_by_no_more_than_its_share_of_the_side() -> None:
    _, landmarks = spots(200)

    _, moved = changed(torch.zeros(200, 3, SIZE, SIZE), landmarks, only(shift=0.1))

    steps = (moved - landmarks)[:, 0, :2]
    assert 3.8 < steps.abs().max() <= 0.1 * SIZE + 1e-4
    assert abs(float(torch.corrcoef(steps.T)[0, 1])) < 0.3  # x and y are drawn apart


def test_landmarks_that_leave_the_image_are_truncated() -> None:
    kinds = torch.tensor([float(one) for one in Visibility])
    edge = torch.tensor([1.0, 20.0]).repeat(4, 1)
    landmarks = torch.cat([edge, kinds.unsqueeze(1)], dim=1).repeat(100, 1, 1)  # (100, 4, 3)

    _, moved = changed(torch.zeros(100, 3, SIZE, SIZE), landmarks, only(shift=0.3))

    assert {*(moved[:, 0, 0] < -0.5).tolist()} == {False, True}
    rows = (tensor.flatten(0, 1).tolist() for tensor in (moved, landmarks))
    for one, old in zip(*rows, strict=True):
        is_outside = not (-0.5 <= one[0] <= SIZE - 0.5 and -0.5 <= one[1] <= SIZE - 0.5)
        assert one[2] == (min(old[2], Visibility.TRUNCATED) if is_outside else old[2])


def test_values_stay_between_0_and_1() -> None:
    config = only(mirror=True, rotation=90, zoom=0.5, shift=0.3, brightness=1, contrast=0.9)

    found, _ = changed(noise(64), no_landmarks(64), config)

    assert found.min() == 0
    assert found.max() == 1


def test_brightness_adds_one_number_to_every_pixel_of_an_image() -> None:
    images = 0.4 + 0.2 * noise(100)

    found, _ = changed(images, no_landmarks(100), only(brightness=0.3))

    steps = (found - images).flatten(1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), rtol=0, atol=1e-4)
    assert 0.27 < steps.max() <= 0.3001
    assert -0.3001 <= steps.min() < -0.27


def test_contrast_stretches_around_the_mean_of_an_image() -> None:
    images = 0.4 + 0.2 * noise(100)

    found, _ = changed(images, no_landmarks(100), only(contrast=0.5))

    means = images.mean(dim=(1, 2, 3), keepdim=True)
    factors = (found - means).flatten(1).norm(dim=1) / (images - means).flatten(1).norm(dim=1)
    stretched = means + factors[:, None, None, None] * (images - means)
    torch.testing.assert_close(found, stretched, rtol=0, atol=1e-4)
    assert 1.45 < factors.max() <= 1.5001
    assert 0.4999 <= factors.min() < 0.55


def test_each_image_is_changed_in_its_own_way() -> None:
    images = noise(1).repeat(6, 1, 1, 1)

    found, _ = changed(images, no_landmarks(6), AugmentationConfig())

    for one, other in itertools.combinations(found, 2):
        assert not torch.allclose(one, other, atol=1e-2)


def test_what_is_drawn_depends_on_the_generator_alone() -> None:
    images, landmarks = spots(8)
    config = AugmentationConfig()

    first = changed(images, landmarks, config)
    torch.manual_seed(99)
    again = changed(images, landmarks, config)
    other = changed(images, landmarks, config, seed=1)

    assert torch.equal(again[0], first[0])
    assert torch.equal(again[1], first[1])
    assert not torch.equal(other[0], first[0])


def test_the_given_tensors_stay_as_they_are() -> None:
    images, landmarks = spots(8)

    changed(images, landmarks, AugmentationConfig(), pairs=((0, 0),))

    assert torch.equal(images, spots(8)[0])
    assert torch.equal(landmarks, spots(8)[1])
