import math

import pytest
import torch

from fdmo_core import Visibility
from fdmo_plugins.ldm.loss import Reduction, counted_landmarks, landmark_loss, visibility_loss


def random_maps(seed: int) -> torch.Tensor:
    return torch.rand(3, 4, 28, 28, generator=torch.Generator().manual_seed(seed))


COUNTED = torch.tensor(
    [[True, False, True, True], [False, False, False, False], [False, True, False, False]]
)


def equation_1() -> float:
    predicted, truth = random_maps(0), random_maps(1)
    total = 0.0
    for b in range(3):
        for n in range(4):
            for difference in (predicted[b, n] - truth[b, n]).flatten().tolist():
                total += COUNTED[b, n].item() * difference**2
    return total


@pytest.mark.parametrize(("reduction", "divisor"), [("sum", 3), ("mean", 4 * 28 * 28)])
def test_matches_equation_1_written_as_a_loop(reduction: Reduction, divisor: int) -> None:
    loss = landmark_loss(random_maps(0), random_maps(1), counted=COUNTED, reduction=reduction)

    assert loss.item() == pytest.approx(equation_1() / divisor, rel=1e-5)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_landmarks_that_do_not_count_get_no_gradient(reduction: Reduction) -> None:
    heatmaps = random_maps(0).requires_grad_()

    loss = landmark_loss(heatmaps, random_maps(1), counted=COUNTED, reduction=reduction)
    (gradient,) = torch.autograd.grad(loss, heatmaps)

    assert torch.equal(gradient.abs().sum(dim=(2, 3)) > 0, COUNTED)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_batch_without_a_counted_landmark_costs_0_and_can_be_differentiated(
    reduction: Reduction,
) -> None:
    heatmaps = random_maps(0).requires_grad_()
    nothing = torch.zeros_like(COUNTED)

    loss = landmark_loss(heatmaps, random_maps(1), counted=nothing, reduction=reduction)
    (gradient,) = torch.autograd.grad(loss, heatmaps)

    assert loss.item() == 0
    assert not gradient.any()


@pytest.mark.parametrize(
    ("visibility", "visible", "in_picture"),
    [
        (Visibility.ABSENT, False, False),
        (Visibility.TRUNCATED, False, False),
        (Visibility.OCCLUDED, False, True),
        (Visibility.VISIBLE, True, True),
    ],
)
def test_what_counts_follows_the_visibility(
    visibility: Visibility, visible: bool, in_picture: bool
) -> None:
    landmarks = torch.tensor([[[5.0, 5.0, visibility]]])

    assert counted_landmarks(landmarks, "visible").item() is visible
    assert counted_landmarks(landmarks, "in-picture").item() is in_picture


def test_visibility_matches_binary_cross_entropy_written_as_a_loop() -> None:
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(2))

    expected = 0.0
    for logit, visible in zip(logits.flatten().tolist(), COUNTED.flatten().tolist(), strict=True):
        probability = 1 / (1 + math.exp(-logit))
        expected -= math.log(probability if visible else 1 - probability) / 12

    assert visibility_loss(logits, COUNTED).item() == pytest.approx(expected, rel=1e-5)


def test_both_terms_compute_in_float32_on_half_precision_predictions() -> None:
    heatmaps = random_maps(0).bfloat16()
    logits = torch.full((3, 4), 1e4, dtype=torch.bfloat16)

    location = landmark_loss(heatmaps, random_maps(1), counted=COUNTED, reduction="mean")
    visibility = visibility_loss(logits, COUNTED)

    assert location.dtype == visibility.dtype == torch.float32
    assert visibility.isfinite()
