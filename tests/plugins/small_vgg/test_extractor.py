from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from fdmo_plugins.small_vgg.extractor import SmallVgg, SmallVggConfig


def build(**options: Any) -> SmallVgg:
    torch.manual_seed(0)
    return SmallVgg(SmallVggConfig(**options))


@pytest.mark.parametrize("side", [32, 64])
def test_the_map_has_a_quarter_of_the_side_of_the_image(side: int) -> None:
    extractor = build()

    maps = extractor(torch.rand(2, 3, side, side))

    assert maps.shape == (2, extractor.out_channels, side // 4, side // 4)


def test_width_and_depth_follow_the_config() -> None:
    extractor = build(channels=[8, 24], convs_per_stage=3)

    convs = [layer for layer in extractor.modules() if isinstance(layer, nn.Conv2d)]

    assert [conv.out_channels for conv in convs] == [8, 8, 8, 24, 24, 24]
    assert extractor.out_channels == 24
    assert len(extractor.stages) == 3


def test_the_first_stage_normalises_the_colours() -> None:
    image = torch.tensor([0.1, 0.5, 0.9]).view(1, 3, 1, 1)

    normalised = build(mean=(0.1, 0.3, 0.5), std=(1.0, 0.1, 0.5)).stages[0](image)

    assert normalised.flatten().tolist() == pytest.approx([0.0, 2.0, 0.8])


def test_the_stages_hold_every_weight() -> None:
    extractor = build()

    in_stages = {id(weight) for stage in extractor.stages for weight in stage.parameters()}

    assert in_stages == {id(weight) for weight in extractor.parameters()}


@pytest.mark.parametrize(("freeze_stages", "frozen"), [(0, 0), (1, 2), (3, 4)])
def test_freezing_conv_stages_freezes_the_normalisation_too(
    freeze_stages: int, frozen: int
) -> None:
    assert build(freeze_stages=freeze_stages).num_frozen_stages == frozen


def test_freezing_more_stages_than_there_are_is_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        SmallVggConfig(channels=(8, 16), freeze_stages=3)

    assert (
        "freeze_stages is 3, but there are 2 conv stages. Expected at most as many. "
        "Lower freeze_stages or lengthen channels."
    ) in str(caught.value)


def test_the_initial_weights_have_the_spread_of_he() -> None:
    extractor = build(channels=(64, 64))
    last = [layer for layer in extractor.modules() if isinstance(layer, nn.Conv2d)][-1]

    spread = last.weight.std().item()

    assert spread == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)  # 36,864 weights
