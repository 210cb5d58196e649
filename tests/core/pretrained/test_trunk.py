from collections import OrderedDict

import pytest
import torch
from torch import nn

from fdmo_core import ConfigError
from fdmo_core.pretrained.trunk import Trunk, cut


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def model() -> nn.Sequential:
    """A small network in the layout of many: stem, layers, head."""
    return nn.Sequential(
        OrderedDict(
            stem=conv(3, 4),
            bn=nn.BatchNorm2d(4),
            act=nn.ReLU(inplace=True),
            pool=nn.MaxPool2d(2),
            layer1=nn.Sequential(conv(4, 4), nn.Sequential(conv(4, 5), nn.ReLU())),
            layer2=nn.Sequential(conv(5, 6), nn.ReLU(inplace=True)),
            head=nn.Flatten(),
        )
    )


CHILDREN = ["stem", "bn", "act", "pool", "layer1", "layer2"]


def trunk() -> Trunk:
    return cut(model(), CHILDREN)


def test_a_stage_begins_with_a_part_that_convolves() -> None:
    assert trunk().part_names == (
        ("stem", "bn", "act", "pool"),
        ("layer1.0",),
        ("layer1.1",),
        ("layer2.0", "layer2.1"),
    )


def test_the_stages_give_what_the_children_give() -> None:
    whole = model().eval()
    images = torch.rand(2, 3, 8, 8)

    maps = images
    for stage in cut(whole, CHILDREN).stages:
        maps = stage(maps)

    assert torch.equal(maps, whole[:-1](images))


def test_no_stage_changes_what_it_is_handed() -> None:
    maps = torch.randn(2, 3, 8, 8)
    for stage in trunk().stages:
        before = maps.clone()
        made = stage(maps)
        assert torch.equal(maps, before)
        maps = made


def test_what_is_left_out_is_the_head() -> None:
    assert trunk().head_names == {"head"}


def test_the_channels_are_those_of_the_last_map_and_the_modes_stay() -> None:
    one = trunk()
    one.stages[1].eval()

    assert one.out_channels() == 6
    assert [stage.training for stage in one.stages] == [True, False, True, True]


def test_finding_the_channels_leaves_the_statistics_of_batch_norm_alone() -> None:
    whole = model()

    cut(whole, CHILDREN).out_channels()

    assert whole.get_buffer("bn.num_batches_tracked") == 0


@pytest.mark.parametrize(
    ("freeze_until", "frozen"),
    [
        ("none", 0),
        (0, 0),
        (1, 1),
        (4, 4),
        ("stem", 1),
        ("bn", 1),
        ("layer1.0", 2),
        ("layer1", 3),
        ("layer2.1", 4),
        ("layer2", 4),
    ],
)
def test_freezing_takes_a_number_a_part_or_what_holds_parts(
    freeze_until: str | int, frozen: int
) -> None:
    assert trunk().num_frozen(freeze_until) == frozen


@pytest.mark.parametrize("freeze_until", ["layer", "layer3", "head", "", "layer1.0.weight"])
def test_freezing_up_to_no_part_is_refused_with_the_names_that_there_are(freeze_until: str) -> None:
    with pytest.raises(ConfigError) as caught:
        trunk().num_frozen(freeze_until)

    assert str(caught.value) == (
        f"freeze_until is '{freeze_until}', which is no part of this model. Expected 'none', a "
        f"number up to 4, or the name of a part. Choose among: stem, layer1.0, layer1.1, layer2.0."
    )


def test_freezing_more_stages_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="freeze_until is 5, but there are 4 stages"):
        trunk().num_frozen(5)
