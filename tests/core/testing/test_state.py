from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fdmo_core import LandmarkPrediction
from fdmo_core.testing.state import check_comes_back_from_a_checkpoint
from fdmo_plugins.ldm.head import LandmarkDetectionModule, LdmConfig
from fdmo_plugins.losses.cross_entropy import CrossEntropyLoss, CrossEntropyLossConfig
from fdmo_plugins.small_vgg.extractor import SmallVgg, SmallVggConfig

CONFIG = SmallVggConfig(channels=(4, 6), convs_per_stage=1)


class ForgetsAShift(SmallVgg):
    def __init__(self, config: SmallVggConfig) -> None:
        super().__init__(config)
        self.shift = torch.rand(())  # no buffer, so that no checkpoint has it

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images + self.shift)


class NamesByTheSeed(SmallVgg):
    def __init__(self, config: SmallVggConfig) -> None:
        super().__init__(config)
        self.register_buffer(f"shift_{int(torch.rand(()) * 1e6)}", torch.zeros(()))


class SharesMemory(SmallVgg):
    def __init__(self, config: SmallVggConfig) -> None:
        super().__init__(config)
        self.twin = nn.Parameter(torch.ones(3))
        self.other = self.twin


class RoundsWhatItLoads(SmallVgg):
    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        rounded = {name: one.half().to(one.dtype) for name, one in state_dict.items()}
        return super().load_state_dict(rounded, *args, **kwargs)


class ForgetsItsHeatmaps(LandmarkDetectionModule):
    def __init__(self, config: LdmConfig, **facts: int) -> None:
        super().__init__(config, **facts)
        self.shift = torch.rand(())

    def forward(self, maps: Tensor) -> LandmarkPrediction:
        return super().forward(maps + self.shift)


class ForgetsItsPriors(CrossEntropyLoss):
    def __init__(self, config: CrossEntropyLossConfig, *, class_counts: Tensor) -> None:
        super().__init__(config, class_counts=class_counts)
        self.shift = torch.rand(3)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return super().forward(logits + self.shift, labels)


@pytest.mark.parametrize(
    ("broken", "config", "message"),
    [
        (ForgetsAShift, CONFIG, r"another one \(in its result\)"),
        (NamesByTheSeed, CONFIG, "cannot be saved and restored: RunFolderError"),
        (SharesMemory, CONFIG, "cannot be saved and restored"),
        (RoundsWhatItLoads, CONFIG, r"another one \(conv_stages.0.0.weight"),
        (ForgetsItsHeatmaps, LdmConfig(), r"another one \(in its result\)"),
        (ForgetsItsPriors, CrossEntropyLossConfig(), r"another one \(in its result\)"),
    ],
)
def test_a_component_that_loses_its_state_is_caught(
    broken: type[Any], config: Any, message: str
) -> None:
    with pytest.raises(AssertionError, match=f"{message}.* See fdmo_core"):
        check_comes_back_from_a_checkpoint(broken, config)
