import pytest
import torch
from fdmo_efficientnet_lite.extractor import EfficientNetLite, EfficientNetLiteConfig

from fdmo_core.testing import Check, checks_for


def extractor_of(*, pretrained: bool = False, **options: int) -> EfficientNetLite:
    extractor = EfficientNetLite(EfficientNetLiteConfig(**options)).eval()
    if pretrained:
        extractor.load_initial_weights()
    return extractor


@pytest.mark.parametrize("check", checks_for("extractor"), ids=lambda check: check.__name__)
def test_keeps_to_the_contract_of_an_extractor(check: Check) -> None:
    check(EfficientNetLite, EfficientNetLiteConfig(blocks=3))


def test_the_map_has_a_sixteenth_of_the_side() -> None:
    assert extractor_of()(torch.rand(2, 3, 64, 64)).shape == (2, 112, 4, 4)


def test_every_stage_is_frozen() -> None:
    extractor = extractor_of(blocks=4, pool=2)

    assert extractor.num_frozen_stages == len(extractor.stages) == 6  # stem, blocks, average


def test_two_extractors_have_the_same_weights_once_they_are_loaded() -> None:
    one, other = extractor_of(blocks=4), extractor_of(blocks=4)
    images = torch.rand(1, 3, 64, 64)
    assert not torch.equal(one(images), other(images))

    for extractor in (one, other):
        extractor.load_initial_weights()

    assert torch.equal(one(images), other(images))


def test_random_weights_are_left_as_they_are() -> None:
    extractor = EfficientNetLite(EfficientNetLiteConfig(blocks=2, weights="random"))
    before = {name: tensor.clone() for name, tensor in extractor.state_dict().items()}

    extractor.load_initial_weights()

    assert all(torch.equal(before[name], now) for name, now in extractor.state_dict().items())


def test_the_average_shrinks_the_map_and_nothing_else() -> None:
    plain, pooled = extractor_of(pretrained=True), extractor_of(pretrained=True, pool=2)
    images = torch.rand(2, 3, 64, 64)

    expected = plain(images).unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5))
    assert torch.allclose(pooled(images), expected, atol=1e-5)
