from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fdmo_core import LandmarkPrediction
from fdmo_core.testing import NotApplicable
from fdmo_core.testing.batch_independence import check_each_sample_is_on_its_own
from fdmo_core.testing.toys import ToyGenerator, ToyGeneratorConfig
from fdmo_plugins.convexgan.generator import ConvexGan, ConvexGanConfig
from fdmo_plugins.ldm.head import LandmarkDetectionModule, LdmConfig
from fdmo_plugins.rebalancers.adversarial import AdversarialConfig, AdversarialRebalancer
from fdmo_plugins.small_vgg.extractor import SmallVgg, SmallVggConfig


class CentresMaps(SmallVgg):
    def forward(self, images: Tensor) -> Tensor:
        maps = super().forward(images)
        return maps - maps.mean(dim=0)


class CentresHeatmaps(LandmarkDetectionModule):
    def forward(self, maps: Tensor) -> LandmarkPrediction:
        return super().forward(maps - maps.mean(dim=0))


class CentresNoise(ConvexGan):
    def weigh(self, noise: Tensor, labels: Tensor, drawn: Tensor, mask: Tensor) -> Tensor:
        return super().weigh(noise - noise.mean(dim=0), labels, drawn, mask)


class Centring(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features - features.mean(dim=0)


class CentresFeatures(AdversarialRebalancer):
    @property
    def classifier(self) -> nn.Module:
        return nn.Sequential(Centring(), super().classifier)


GAN = ConvexGanConfig(noise_dim=4, hidden=(8, 8), discriminator_hidden=(8, 8))


@pytest.mark.parametrize(
    ("broken", "config"),
    [
        (CentresMaps, SmallVggConfig(channels=(4, 6), convs_per_stage=1)),
        (CentresHeatmaps, LdmConfig()),
        (CentresNoise, GAN),
        (CentresFeatures, AdversarialConfig(batch_size=8, samples_per_class=3)),
    ],
)
def test_a_component_that_looks_at_its_batch_is_caught(broken: type[Any], config: Any) -> None:
    with pytest.raises(AssertionError, match=r"depends on the other samples.* See fdmo_core"):
        check_each_sample_is_on_its_own(broken, config)


def test_a_generator_that_does_not_weigh_cannot_be_asked() -> None:
    with pytest.raises(NotApplicable, match="It refuses weigh"):
        check_each_sample_is_on_its_own(ToyGenerator, ToyGeneratorConfig())


def test_a_correct_generator_passes() -> None:
    torch.manual_seed(3)

    check_each_sample_is_on_its_own(ConvexGan, GAN)
