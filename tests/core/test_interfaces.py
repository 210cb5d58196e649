import inspect
from collections.abc import Sequence

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from fdmo_core import ComponentConfig, DatasetConfig, DrawnFeatures, Extractor, Loss, Rebalancer
from fdmo_core.kinds import KINDS, Kind
from fdmo_core.testing.toys import ToyGenerator, ToyLoss, ToyLossConfig, toy_generator

EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.factor


class Plus(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps + 1


class TwoStages(Extractor):
    @property
    def stages(self) -> Sequence[nn.Module]:
        return [Plus(), Times(3)]


@EVERY_KIND
def test_an_incomplete_component_cannot_be_constructed(kind: Kind) -> None:
    incomplete = type("Incomplete", (kind.interface,), {})

    with pytest.raises(TypeError, match="abstract"):
        incomplete(ComponentConfig())


@EVERY_KIND
def test_a_component_is_constructed_from_its_config_and_facts_by_name(kind: Kind) -> None:
    _, config, *facts = inspect.signature(kind.interface.__init__).parameters.values()

    assert config.name == "config"
    assert all(fact.kind is inspect.Parameter.KEYWORD_ONLY for fact in facts)


@EVERY_KIND
def test_every_method_says_what_it_does(kind: Kind) -> None:
    methods = [
        member
        for name, member in vars(kind.interface).items()
        if not name.startswith("_") and (callable(member) or isinstance(member, property))
    ]

    assert all(inspect.getdoc(method) for method in methods)


def test_a_config_refuses_unknown_keys_and_changes() -> None:
    config = DatasetConfig(image_size=32)

    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        DatasetConfig.model_validate({"image_sise": 32})
    with pytest.raises(ValidationError, match="frozen"):
        config.image_size = 64


def test_an_extractor_applies_its_stages_in_order() -> None:
    maps = TwoStages(ComponentConfig())(torch.tensor([1.0, 2.0]))

    assert maps.tolist() == [6.0, 9.0]


def test_an_extractor_freezes_nothing_unless_it_says_so() -> None:
    assert TwoStages(ComponentConfig()).num_frozen_stages == 0


def test_drawn_features_are_gathered_line_by_line() -> None:
    store = torch.arange(8.0).view(4, 2)
    rows, mask = torch.tensor([[2, 0], [3, 3]]), torch.tensor([[True, True], [True, False]])

    features = DrawnFeatures(store, rows, mask, groups=torch.tensor([1])).features()

    assert features.tolist() == [[[4.0, 5.0], [0.0, 1.0]], [[6.0, 7.0], [6.0, 7.0]]]


def test_a_generator_that_learns_nothing_has_no_terms_and_no_optimizer() -> None:
    generator: ToyGenerator = toy_generator(3, num_classes=2)

    assert generator.update(None) == {}  # type: ignore[arg-type]  # it must not look
    assert generator.optimizers() == {}


def test_a_loss_works_on_linear_logits_unless_it_says_so() -> None:
    loss: Loss = ToyLoss(ToyLossConfig(), class_counts=torch.tensor([2, 1]))

    assert loss.cosine_scale is None


def test_a_rebalancer_accepts_any_counts_unless_it_says_otherwise() -> None:
    Rebalancer.check_counts(ComponentConfig(), torch.tensor([5, 5]))

    assert Rebalancer.notices == ()
