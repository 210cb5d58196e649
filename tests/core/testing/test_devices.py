from typing import Any

import pytest
import torch
from torch import Tensor

from fdmo_core import ArtificialFeatures, DrawnFeatures
from fdmo_core.testing import NotApplicable
from fdmo_core.testing.devices import check_does_the_same_on_cuda, expect_the_same_on
from fdmo_core.testing.toys import (
    CPU,
    ToyDictionary,
    ToyDictionaryConfig,
    ToyGenerator,
    ToyGeneratorConfig,
    ToyLoss,
    ToyLossConfig,
)
from fdmo_plugins.rebalancers.adversarial import AdversarialConfig, AdversarialRebalancer

META = torch.device("meta")  # a device that every machine has, and no value comes back from


class DrawsWhereItIs(ToyDictionary):
    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        return super().sample(labels, torch.default_generator)


class ShiftsByChance(ToyLoss):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return super().forward(logits, labels) + torch.rand(())


class MakesByChance(ToyGenerator):
    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        features, _, _ = super().forward(labels, drawn, rng)
        return ArtificialFeatures(torch.rand(features.shape), None)


@pytest.mark.parametrize(
    ("broken", "config"),
    [
        (DrawsWhereItIs, ToyDictionaryConfig()),
        (ShiftsByChance, ToyLossConfig()),
        (MakesByChance, ToyGeneratorConfig()),
    ],
)
def test_a_component_whose_results_differ_is_caught(broken: type[Any], config: Any) -> None:
    with pytest.raises(AssertionError, match=r"On cpu a result is .* See fdmo_core"):
        expect_the_same_on(CPU, broken, config)


@pytest.mark.parametrize(
    ("component", "config"),
    [
        (ToyDictionary, ToyDictionaryConfig()),
        (ToyLoss, ToyLossConfig()),
        (ToyGenerator, ToyGeneratorConfig()),
        (AdversarialRebalancer, AdversarialConfig(batch_size=8, samples_per_class=3)),
    ],
)
def test_correct_components_agree_with_themselves(component: type[Any], config: Any) -> None:
    expect_the_same_on(CPU, component, config)


def test_what_cannot_compute_on_a_device_is_caught() -> None:
    with pytest.raises(AssertionError, match=r"On meta it raises .* See fdmo_core"):
        expect_the_same_on(META, ToyLoss, ToyLossConfig())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_cuda_device_the_check_says_that_it_is_untested() -> None:
    with pytest.raises(NotApplicable, match=r"finds no CUDA device here, so that this is untested"):
        check_does_the_same_on_cuda(ToyLoss, ToyLossConfig())
