import pytest
import torch
from fdmo_efficientnet_lite.extractor import EfficientNetLite, EfficientNetLiteConfig

from fdmo_core.testing import checks_for


@pytest.mark.parametrize("check", checks_for("extractor"), ids=lambda one: one.__name__)
def test_contract(check):
    check(EfficientNetLite, EfficientNetLiteConfig(blocks=3))


def test_the_map_has_a_sixteenth_of_the_side():
    extractor = EfficientNetLite(EfficientNetLiteConfig()).eval()

    assert extractor(torch.rand(2, 3, 64, 64)).shape == (2, 112, 4, 4)


def test_the_average_shrinks_the_map_and_nothing_else():
    plain = EfficientNetLite(EfficientNetLiteConfig()).eval()
    pooled = EfficientNetLite(EfficientNetLiteConfig(pool=2)).eval()
    for one in (plain, pooled):
        one.load_initial_weights()
    images = torch.rand(2, 3, 64, 64)

    expected = plain(images).unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5))
    assert torch.allclose(pooled(images), expected, atol=1e-5)
