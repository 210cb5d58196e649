from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fdmo_core import LandmarkPrediction
from fdmo_core.testing.precision import check_stays_finite_in_bf16
from fdmo_plugins.ldm.head import LandmarkDetectionModule, LdmConfig
from fdmo_plugins.small_vgg.extractor import SmallVgg, SmallVggConfig

CONFIG = SmallVggConfig(channels=(4, 6), convs_per_stage=1, freeze_stages=1)


class DividesByWhatRoundsToZero(SmallVgg):
    def forward(self, images: Tensor) -> Tensor:
        maps = super().forward(images)
        return maps / ((1 + torch.tensor(1e-4).to(maps.dtype)) - 1)  # 0 in bfloat16


class MixesDtypes(SmallVgg):
    def forward(self, images: Tensor) -> Tensor:
        maps = super().forward(images)
        mixed = F.conv2d(maps, torch.eye(maps.shape[1])[:, :, None, None])  # in bfloat16
        return torch.zeros(maps.shape).index_add_(0, torch.arange(len(maps)), mixed)


class HasNoSlope(SmallVgg):
    def forward(self, images: Tensor) -> Tensor:
        maps = super().forward(images)
        return (maps - maps.detach()).pow(2).sum(dim=(2, 3), keepdim=True).sqrt()


class DividesByTheSpread(LandmarkDetectionModule):
    def forward(self, maps: Tensor) -> LandmarkPrediction:
        heatmaps, visibility = super().forward(maps)
        return LandmarkPrediction(heatmaps, visibility / (visibility.dtype == torch.float32))


@pytest.mark.parametrize(
    ("broken", "config", "message"),
    [
        (DividesByWhatRoundsToZero, CONFIG, "bfloat16 output 0 holds infinite values or NaN"),
        (MixesDtypes, CONFIG, "it raises RuntimeError"),
        (HasNoSlope, CONFIG, "the gradient of conv_stages.1.* holds infinite values or NaN"),
        (DividesByTheSpread, LdmConfig(), "output 1 holds infinite values or NaN"),
    ],
)
def test_a_component_that_breaks_in_bfloat16_is_caught(
    broken: type[Any], config: Any, message: str
) -> None:
    with pytest.raises(AssertionError, match=f"{message}.* See fdmo_core"):
        check_stays_finite_in_bf16(broken, config)
