from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fdmo_core.testing import Check
from fdmo_core.testing import extractors as kit
from fdmo_plugins.small_vgg.extractor import SmallVgg, SmallVggConfig

CONFIG = SmallVggConfig(channels=(4, 6), convs_per_stage=1, freeze_stages=1)


class NeedsMore(SmallVgg):
    def __init__(self, config: SmallVggConfig, image_size: int) -> None:
        super().__init__(config)


class FreezesTooMuch(SmallVgg):
    def __init__(self, config: SmallVggConfig) -> None:
        super().__init__(config)
        self.num_frozen_stages = 4


class MakesStagesAnew(SmallVgg):
    @property
    def stages(self) -> Sequence[nn.Module]:
        return [nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)]


class NamesOtherChannels(SmallVgg):
    def __init__(self, config: SmallVggConfig) -> None:
        super().__init__(config)
        self.out_channels = 5


class DoesMoreThanItsStages(SmallVgg):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * 2


class Detached(SmallVgg):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).detach()


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.get_buffer("calls").add_(1)
        return images * self.get_buffer("calls")


class KeepsStatistics(SmallVgg):
    def __init__(self, config: SmallVggConfig) -> None:
        super().__init__(config)
        self.counting = Counting()

    @property
    def stages(self) -> Sequence[nn.Module]:
        return [self.counting, *super().stages]


class WorksInPlace(SmallVgg):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.mul_(0.5))


class DrawsGlobally(SmallVgg):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images + torch.rand(()))


class CountsItsCalls(SmallVgg):
    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(images / self.calls)


BROKEN: list[tuple[type[Any], Check, str]] = [
    (NeedsMore, kit.check_is_built_from_its_config, "missing 1 required positional argument"),
    (FreezesTooMuch, kit.check_is_built_from_its_config, "num_frozen_stages is 4 of 3 stages"),
    (MakesStagesAnew, kit.check_is_built_from_its_config, "A stage is not a submodule"),
    (NamesOtherChannels, kit.check_gives_a_conv_map, r"Expected \(1, 5, any, any\)"),
    (DoesMoreThanItsStages, kit.check_is_its_stages_in_order, "give another map than forward"),
    (Detached, kit.check_gradients_reach_what_is_learned, "No gradient reaches conv_stages.1"),
    (KeepsStatistics, kit.check_the_frozen_prefix_stays, r"changes the frozen prefix \(0.calls\)"),
    (WorksInPlace, kit.check_leaves_the_images_alone, "changes its images in place"),
    (DrawsGlobally, kit.check_repeats_itself, "global random generator of torch"),
    (CountsItsCalls, kit.check_repeats_itself, "when it is asked again"),
]


@pytest.mark.parametrize(("broken", "check", "message"), BROKEN)
def test_a_broken_extractor_is_caught(broken: type[Any], check: Check, message: str) -> None:
    with pytest.raises(AssertionError, match=f"{message}.* See fdmo_core"):
        check(broken, CONFIG)


def test_every_check_of_an_extractor_is_proved_to_catch_something() -> None:
    assert {check for _, check, _ in BROKEN} == set(kit.CHECKS)
