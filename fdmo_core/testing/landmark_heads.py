"""What every landmark head must do."""

from typing import Any

import torch
from torch import Tensor

from fdmo_core.interfaces import HEATMAP_SIZE, LandmarkHead, LandmarkPrediction
from fdmo_core.randomness import rng_for
from fdmo_core.samples import Visibility
from fdmo_core.testing.expectations import (
    Check,
    built,
    differing,
    expect,
    expect_built,
    expect_no_global_randomness,
    expect_tensor,
    snapshot,
    without_gradient,
)

FORWARD, LOSSES = "LandmarkHead.forward", "LandmarkHead.losses"
CHANNELS, LANDMARKS, IMAGE_SIZE = 16, 3, 56


def check_is_built_from_sizes(component: type[Any], config: Any) -> None:
    """It is constructed from its config, channels, landmarks and the size of the images."""
    facts = {"in_channels": CHANNELS, "num_landmarks": LANDMARKS, "image_size": IMAGE_SIZE}
    expect_built(component, LandmarkHead, config, **facts)


def check_predicts_every_landmark(component: type[Any], config: Any) -> None:
    """Maps of any size become 28 x 28 heatmaps and visibility logits; a batch of one does too."""
    head = head_of(component, config)
    for size, height, width in ((1, 7, 7), (2, 14, 14), (3, 5, 9)):
        prediction, what = head(batch_of_maps(size, height, width)), f"of {height} x {width} maps"
        expect_tensor(
            prediction.heatmaps,
            (size, LANDMARKS, HEATMAP_SIZE, HEATMAP_SIZE),
            torch.float32,
            what=f"The heatmaps {what}",
            read=FORWARD,
        )
        expect_tensor(
            prediction.visibility_logits,
            (size, LANDMARKS),
            torch.float32,
            what=f"The visibility {what}",
            read=FORWARD,
        )


def check_losses_are_finite_numbers(component: type[Any], config: Any) -> None:
    """Its losses are finite, also for a batch in which no landmark is labelled."""
    head = head_of(component, config)
    for visibility in Visibility:
        terms = head.losses(head(batch_of_maps(2)), _landmarks(2, visibility))
        expect(len(terms) > 0, "losses() gives no term. Expected at least one.", read=LOSSES)
        for name, term in terms.items():
            what = f"The loss '{name}' of landmarks that are {visibility.name}"
            expect_tensor(term, (), torch.float32, what=what, read=LOSSES)


def check_prefers_the_right_place(component: type[Any], config: Any) -> None:
    """Heatmaps with their peak at the landmark cost less than with the peak elsewhere."""
    head, landmarks = head_of(component, config), _landmarks(2, Visibility.VISIBLE)
    logits = torch.full((2, LANDMARKS), 3.0)
    columns, rows = ((landmarks[..., axis] + 0.5) * HEATMAP_SIZE / IMAGE_SIZE for axis in (0, 1))
    costs = {}
    for place, peaks in {"right": (rows, columns), "wrong": (HEATMAP_SIZE - rows, columns)}.items():
        prediction = LandmarkPrediction(_peaks(*peaks), logits)
        costs[place] = float(sum(head.losses(prediction, landmarks).values()))
    expect(
        costs["right"] < costs["wrong"],
        f"A heatmap with its peak at the landmark costs {costs['right']:g}, and {costs['wrong']:g} "
        f"with the peak elsewhere. Expected less at the landmark; y goes along the rows.",
        read=LOSSES,
    )


def check_prefers_the_right_visibility(component: type[Any], config: Any) -> None:
    """Positive logits cost less for visible landmarks, and negative ones for absent landmarks."""
    head, heatmaps = head_of(component, config), torch.zeros(2, LANDMARKS, 28, 28)
    for visibility, right in ((Visibility.VISIBLE, 3.0), (Visibility.ABSENT, -3.0)):
        landmarks = _landmarks(2, visibility)
        good, bad = (
            float(sum(head.losses(LandmarkPrediction(heatmaps, logits), landmarks).values()))
            for logits in (torch.full((2, LANDMARKS), sign * right) for sign in (1, -1))
        )
        expect(
            good < bad,
            f"Logits of {right:g} cost {good:g} for landmarks that are {visibility.name}, and "
            f"{bad:g} with the other sign. Expected less for the right sign.",
            read=LOSSES,
        )


def check_gradients_reach_what_is_learned(component: type[Any], config: Any) -> None:
    """Its losses give every parameter a gradient, and the conv maps too."""
    head, maps = head_of(component, config).train(), batch_of_maps(4).requires_grad_()
    terms = head.losses(head(maps), _landmarks(4, Visibility.VISIBLE))
    torch.stack(list(terms.values())).sum().backward()
    left_out = without_gradient([("the conv maps", maps), *head.named_parameters()])
    expect(
        not left_out,
        f"No gradient reaches {', '.join(left_out)}. Expected one from the losses of visible "
        f"landmarks.",
        read=LOSSES,
    )


def check_leaves_its_arguments_alone(component: type[Any], config: Any) -> None:
    """Maps and landmarks are the same afterwards."""
    head, maps, landmarks = (
        head_of(component, config),
        batch_of_maps(2),
        _landmarks(2, Visibility.VISIBLE),
    )
    before = maps.clone(), landmarks.clone()
    head.losses(head(maps), landmarks)
    expect(
        torch.equal(maps, before[0]) and torch.equal(landmarks, before[1]),
        "The landmark head changes maps or landmarks in place; the conv block gets the same maps. "
        "Expected it to work on copies.",
        read=FORWARD,
    )


def check_repeats_itself(component: type[Any], config: Any) -> None:
    """The seed decides the weights, and they decide the prediction: nothing else is drawn."""
    head, maps = head_of(component, config), batch_of_maps(2)
    with expect_no_global_randomness("In evaluation mode the landmark head", read=FORWARD):
        first = head(maps)
    expect(
        not differing(snapshot(head), snapshot(head_of(component, config))),
        "Two landmark heads built under one seed have different weights. Expected the same.",
        read="LandmarkHead",
    )
    expect(
        all(map(torch.equal, first, head(maps))),
        "A landmark head predicts otherwise when it is asked again. Expected the same, bit for "
        "bit.",
        read="LandmarkHead",
    )


def head_of(component: type[Any], config: Any, *, seed: int = 0) -> LandmarkHead:
    """Return a landmark head in evaluation mode, built under a seed."""
    head: LandmarkHead = built(
        component,
        config,
        seed=seed,
        in_channels=CHANNELS,
        num_landmarks=LANDMARKS,
        image_size=IMAGE_SIZE,
    )
    return head.eval()


def batch_of_maps(size: int, height: int = 7, width: int = 7) -> Tensor:
    """Return conv maps."""
    return torch.randn(size, CHANNELS, height, width, generator=rng_for(0, "contract-maps"))


def _landmarks(size: int, visibility: Visibility) -> Tensor:
    """Positions in the upper half of the picture, so that a mirrored peak is far off."""
    landmarks = torch.full((size, LANDMARKS, 3), float(visibility))
    landmarks[..., 0] = torch.tensor([11.0, 27.0, 45.0])
    landmarks[..., 1] = torch.tensor([5.0, 13.0, 9.0])
    return landmarks


def _peaks(rows: Tensor, columns: Tensor) -> Tensor:
    """Return heatmaps (B, K, 28, 28) with a peak of 1 and the width of a cell or two."""
    cells = torch.arange(HEATMAP_SIZE) + 0.5
    along = [(-((cells - centres.unsqueeze(2)) ** 2) / 2).exp() for centres in (rows, columns)]
    return along[0].unsqueeze(3) * along[1].unsqueeze(2)


CHECKS: tuple[Check, ...] = (
    check_is_built_from_sizes,
    check_predicts_every_landmark,
    check_losses_are_finite_numbers,
    check_prefers_the_right_place,
    check_prefers_the_right_visibility,
    check_gradients_reach_what_is_learned,
    check_leaves_its_arguments_alone,
    check_repeats_itself,
)
