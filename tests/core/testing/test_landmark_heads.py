from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from fdmo_core import LandmarkPrediction, Visibility
from fdmo_core.testing import Check
from fdmo_core.testing import landmark_heads as kit
from fdmo_plugins.ldm.head import LandmarkDetectionModule, LdmConfig


class NeedsMore(LandmarkDetectionModule):
    def __init__(self, config: LdmConfig, *, num_classes: int, **facts: int) -> None:
        super().__init__(config, **facts)


class HalvesTheHeatmaps(LandmarkDetectionModule):
    def forward(self, maps: Tensor) -> LandmarkPrediction:
        heatmaps, visibility = super().forward(maps)
        return LandmarkPrediction(heatmaps[..., ::2, ::2], visibility)


class DividesByTheVisible(LandmarkDetectionModule):
    def losses(self, prediction: LandmarkPrediction, landmarks: Tensor) -> Mapping[str, Tensor]:
        visible = (landmarks[..., 2] == Visibility.VISIBLE).sum()
        return {"landmark": prediction.heatmaps.square().mean() / visible}


class SwapsAxes(LandmarkDetectionModule):
    def losses(self, prediction: LandmarkPrediction, landmarks: Tensor) -> Mapping[str, Tensor]:
        heatmaps, visibility = prediction
        return super().losses(LandmarkPrediction(heatmaps.flip(2), visibility), landmarks)


class TurnsVisibilityRound(LandmarkDetectionModule):
    def losses(self, prediction: LandmarkPrediction, landmarks: Tensor) -> Mapping[str, Tensor]:
        heatmaps, visibility = prediction
        return super().losses(LandmarkPrediction(heatmaps, -visibility), landmarks)


class ForgetsVisibility(LandmarkDetectionModule):
    def losses(self, prediction: LandmarkPrediction, landmarks: Tensor) -> Mapping[str, Tensor]:
        return {"landmark": super().losses(prediction, landmarks)["landmark"]}


class WorksInPlace(LandmarkDetectionModule):
    def forward(self, maps: Tensor) -> LandmarkPrediction:
        return super().forward(maps.relu_())


class DrawsGlobally(LandmarkDetectionModule):
    def forward(self, maps: Tensor) -> LandmarkPrediction:
        return super().forward(maps + torch.rand(()))


class CountsItsCalls(LandmarkDetectionModule):
    calls = 0

    def forward(self, maps: Tensor) -> LandmarkPrediction:
        self.calls += 1
        return super().forward(maps / self.calls)


BROKEN: list[tuple[type[Any], Check, str]] = [
    (NeedsMore, kit.check_is_built_from_sizes, "missing 1 required keyword-only"),
    (HalvesTheHeatmaps, kit.check_predicts_every_landmark, r"Expected \(1, 3, 28, 28\)"),
    (DividesByTheVisible, kit.check_losses_are_finite_numbers, "that are ABSENT holds infinite"),
    (SwapsAxes, kit.check_prefers_the_right_place, "with its peak at the landmark costs"),
    (TurnsVisibilityRound, kit.check_prefers_the_right_visibility, "that are VISIBLE"),
    (ForgetsVisibility, kit.check_gradients_reach_what_is_learned, "reaches visibility.1.weight"),
    (WorksInPlace, kit.check_leaves_its_arguments_alone, "changes maps or landmarks in place"),
    (DrawsGlobally, kit.check_repeats_itself, "global random generator of torch"),
    (CountsItsCalls, kit.check_repeats_itself, "when it is asked again"),
]


@pytest.mark.parametrize(("broken", "check", "message"), BROKEN)
def test_a_broken_landmark_head_is_caught(broken: type[Any], check: Check, message: str) -> None:
    with pytest.raises(AssertionError, match=f"{message}.* See fdmo_core"):
        check(broken, LdmConfig())


def test_every_check_of_a_landmark_head_is_proved_to_catch_something() -> None:
    assert {check for _, check, _ in BROKEN} == set(kit.CHECKS)
