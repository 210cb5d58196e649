from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fdmo_core import LandmarkPrediction
from fdmo_core.testing import NotApplicable
from fdmo_core.testing.export import (
    check_ends_with_a_classifier_that_is_kept,
    check_is_the_same_in_onnxruntime,
)
from fdmo_core.testing.toys import ToyGenerator, ToyGeneratorConfig
from fdmo_plugins.convexgan.generator import ConvexGan, ConvexGanConfig
from fdmo_plugins.ldm.head import LandmarkDetectionModule, LdmConfig
from fdmo_plugins.rebalancers.adversarial import AdversarialConfig, AdversarialRebalancer
from fdmo_plugins.small_vgg.extractor import SmallVgg, SmallVggConfig

CONFIG = SmallVggConfig(channels=(4, 6), convs_per_stage=1)


class BranchesOnPixels(SmallVgg):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if float(images.sum()) > 0 else -images)


class BakesInTheBatch(SmallVgg):
    def forward(self, images: Tensor) -> Tensor:
        return torch.stack(list(super().forward(images)))


class BakesInTheExample(SmallVgg):
    def forward(self, images: Tensor) -> Tensor:
        maps = super().forward(images)
        return maps + 0.1 * float(torch.compiler.is_exporting())


class BranchesOnMaps(LandmarkDetectionModule):
    def forward(self, maps: Tensor) -> LandmarkPrediction:
        return super().forward(maps if bool((maps > 0).all()) else maps.relu())


class BranchesOnTheMask(ConvexGan):
    def weigh(self, noise: Tensor, labels: Tensor, drawn: Tensor, mask: Tensor) -> Tensor:
        return super().weigh(noise if bool(mask.all()) else noise + 1, labels, drawn, mask)


@pytest.mark.parametrize(
    ("broken", "config", "message"),
    [
        (BranchesOnPixels, CONFIG, "It cannot be exported to ONNX"),
        (BakesInTheBatch, CONFIG, "(cannot be exported|For a batch of 1 the exported file raises)"),
        (BakesInTheExample, CONFIG, "For a batch of 1 onnxruntime gives numbers that differ by"),
        (BranchesOnMaps, LdmConfig(), "It cannot be exported to ONNX"),
        (
            BranchesOnTheMask,
            ConvexGanConfig(noise_dim=4, hidden=(8, 8), discriminator_hidden=(8, 8)),
            "It cannot be exported to ONNX",
        ),
    ],
)
def test_a_component_that_an_exported_file_cannot_hold_is_caught(
    broken: type[Any], config: Any, message: str
) -> None:
    with pytest.raises(AssertionError, match=f"(?s){message}.* See fdmo_core"):
        check_is_the_same_in_onnxruntime(broken, config)


def test_a_generator_that_does_not_weigh_is_in_no_graph() -> None:
    with pytest.raises(NotApplicable, match="It refuses weigh"):
        check_is_the_same_in_onnxruntime(ToyGenerator, ToyGeneratorConfig())


class WrapsItsClassifier(AdversarialRebalancer):
    @property
    def classifier(self) -> nn.Module:
        return nn.Sequential(super().classifier)


def test_a_rebalancer_whose_classifier_no_run_folder_holds_is_caught() -> None:
    with pytest.raises(AssertionError, match=r"classifier is a Sequential.* See fdmo_core"):
        check_ends_with_a_classifier_that_is_kept(
            WrapsItsClassifier, AdversarialConfig(batch_size=8, samples_per_class=3)
        )
