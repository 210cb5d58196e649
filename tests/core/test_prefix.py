"""Which leading stages two extractors share, and the digest of stages."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fdmo_core.interfaces import ComponentConfig, Extractor
from fdmo_core.prefix import compute_the_same, digest_stages, num_shared_stages
from fdmo_core.randomness import seeded
from fdmo_plugins.small_vgg.extractor import SmallVgg, SmallVggConfig

Change = Callable[["Toy"], object]


class Scale(nn.Module):
    """Multiplies by a plain number, which no parameter, buffer or printed text tells."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.factor


class Toy(Extractor):
    """Three stages, two of them frozen."""

    config_class = ComponentConfig
    out_channels = 4
    num_frozen_stages = 2

    def __init__(self, seed: int = 0) -> None:
        super().__init__(None)
        with seeded(seed, "toy"):
            first = nn.Sequential(nn.Conv2d(3, 4, 3, stride=1), nn.BatchNorm2d(4), nn.ReLU())
            second = nn.Sequential(Scale(0.5), nn.Conv2d(4, 4, 3))
            self.parts = nn.ModuleList([first, second, nn.Conv2d(4, 4, 3)])

    @property
    def stages(self) -> Sequence[nn.Module]:
        return list(self.parts)

    def layer(self, stage: int, index: int) -> nn.Module:
        return self.get_submodule(f"parts.{stage}.{index}")


def add(tensor: Tensor, step: float) -> None:
    with torch.no_grad():
        tensor.view(-1)[0] += step


def replace(toy: Toy, stage: int, index: int, layer: nn.Module) -> None:
    parent = toy.get_submodule(f"parts.{stage}")
    setattr(parent, str(index), layer)


def strided(toy: Toy) -> None:
    other = nn.Conv2d(3, 4, 3, stride=2)
    other.load_state_dict(toy.layer(0, 0).state_dict())
    replace(toy, 0, 0, other)


CHANGES: dict[str, tuple[int, Change]] = {
    "a weight by one bit": (0, lambda toy: add(toy.get_parameter("parts.0.0.weight"), 1e-7)),
    "a weight of the second stage": (1, lambda toy: add(toy.get_parameter("parts.1.1.bias"), 1)),
    "a buffer": (0, lambda toy: add(toy.get_buffer("parts.0.1.running_mean"), 0.1)),
    "a whole-number buffer": (
        0,
        lambda toy: add(toy.get_buffer("parts.0.1.num_batches_tracked"), 1),
    ),
    "a stride": (0, strided),
    "a class": (0, lambda toy: replace(toy, 0, 2, nn.ReLU6())),
    "a dtype": (1, lambda toy: toy.layer(1, 1).double()),
    "a plain number": (1, lambda toy: setattr(toy.layer(1, 0), "factor", 0.25)),
    "an epsilon": (0, lambda toy: setattr(toy.layer(0, 1), "eps", 1e-3)),
    "a further layer": (1, lambda toy: toy.get_submodule("parts.1").add_module("2", nn.ReLU())),
}


def test_equal_frozen_stages_are_shared_and_no_others() -> None:
    assert num_shared_stages(Toy(), Toy()) == 2


def test_stages_with_other_weights_are_not_shared() -> None:
    assert num_shared_stages(Toy(0), Toy(1)) == 0


@pytest.mark.parametrize("one", CHANGES)
def test_sharing_ends_at_the_first_stage_that_differs_in(one: str) -> None:
    stage, change = CHANGES[one]
    toy, other = Toy(), Toy()

    change(other)

    assert num_shared_stages(toy, other) == num_shared_stages(other, toy) == stage


@pytest.mark.parametrize("frozen", [0, 1])
def test_what_one_of_them_does_not_freeze_is_not_shared(frozen: int) -> None:
    toy, other = Toy(), Toy()

    other.num_frozen_stages = frozen

    assert num_shared_stages(toy, other) == num_shared_stages(other, toy) == frozen


@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
def test_a_stage_with_a_hook_is_not_shared(register: str) -> None:
    hooked, other = Toy(), Toy()

    getattr(hooked.layer(1, 1), register)(lambda *_: None)

    assert num_shared_stages(hooked, other) == num_shared_stages(other, hooked) == 1
    assert num_shared_stages(hooked, deepcopy(hooked)) == 1


def test_mode_and_gradients_do_not_matter() -> None:
    toy, other = Toy().train(), Toy().eval().requires_grad_(False)

    assert num_shared_stages(toy, other) == 2


def test_the_layout_of_weights_in_memory_does_not_matter() -> None:
    toy = Toy().to(memory_format=torch.channels_last)

    assert num_shared_stages(toy, Toy()) == 2
    assert digest_stages(toy.stages) == digest_stages(Toy().stages)


def test_an_attribute_that_cannot_be_compared_makes_modules_different() -> None:
    toy, other = Toy(), Toy()
    for one in (toy, other):
        setattr(one.layer(1, 0), "table", {"a": torch.ones(2)})  # noqa: B010

    assert not compute_the_same(toy.stages[1], other.stages[1])


def small_vgg(freeze_stages: int, std: float = 0.2) -> SmallVgg:
    with seeded(0, "small-vgg"):
        return SmallVgg(
            SmallVggConfig(channels=(4, 8), freeze_stages=freeze_stages, std=(std, std, std))
        )


@pytest.mark.parametrize(("frozen", "shared"), [(0, 0), (1, 2), (2, 3)])
def test_small_vgg_shares_its_normalisation_with_its_frozen_stages(
    frozen: int, shared: int
) -> None:
    assert num_shared_stages(small_vgg(frozen), small_vgg(frozen)) == shared
    assert num_shared_stages(small_vgg(frozen), small_vgg(frozen, std=0.25)) == 0


def digests() -> list[str]:
    return [digest_stages(small_vgg(2).stages[:end]) for end in (1, 2, 3)]


def test_equal_stages_have_equal_digests_in_every_process(
    in_processes: Callable[..., list[Any]],
) -> None:
    assert in_processes(2, digests) == [digests()] * 2
    assert len(set(digests())) == 3


@pytest.mark.parametrize("one", CHANGES)
def test_a_digest_changes_with(one: str) -> None:
    toy = Toy()

    CHANGES[one][1](toy)

    assert digest_stages(toy.stages) != digest_stages(Toy().stages)


def test_a_digest_is_of_the_given_stages_alone() -> None:
    toy, other = Toy(), Toy()
    add(other.get_parameter("parts.2.weight"), 1)

    assert digest_stages(toy.stages[:2]) == digest_stages(other.stages[:2])
    assert digest_stages(toy.stages) != digest_stages(other.stages)
    assert digest_stages(toy.stages[:1]) != digest_stages(toy.stages[:2])
