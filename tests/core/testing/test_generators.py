from collections.abc import Mapping
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from fdmo_core import ArtificialFeatures, DrawnFeatures, Game
from fdmo_core.testing import Check
from fdmo_core.testing import generators as kit
from fdmo_plugins.convexgan.generator import ConvexGan, ConvexGanConfig

CONFIG = ConvexGanConfig(noise_dim=4, hidden=(8, 8), discriminator_hidden=(8, 8))


class NeedsMore(ConvexGan):
    def __init__(self, config: ConvexGanConfig, *, image_size: int, **facts: Any) -> None:
        super().__init__(config, **facts)


class ForgetsAStream(ConvexGan):
    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        features, weights, _ = super().forward(labels, drawn, rng)
        return ArtificialFeatures(features[:, :3], weights)


class GivesOneWeightOnly(ConvexGan):
    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        features, weights, _ = super().forward(labels, drawn, rng)
        return ArtificialFeatures(features, weights[:, :1] if weights is not None else None)


class WeighsTooMuch(ConvexGan):
    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        features, weights, _ = super().forward(labels, drawn, rng)
        return ArtificialFeatures(features, 2 * weights if weights is not None else None)


class WeighsPadding(ConvexGan):
    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        everything = torch.ones_like(drawn.mask)
        padded = DrawnFeatures(drawn.store, drawn.rows, everything, drawn.groups)
        return super().forward(labels, padded, rng)


class LeavesTheHull(ConvexGan):
    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        features, weights, _ = super().forward(labels, drawn, rng)
        return ArtificialFeatures(features + 10, weights)


class NamesOtherSources(ConvexGan):
    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        features, weights, _ = super().forward(labels, drawn, rng)
        return ArtificialFeatures(features, weights.flip(1) if weights is not None else None)


class WeighsOtherwise(ConvexGan):
    def weigh(self, noise: Tensor, labels: Tensor, drawn: Tensor, mask: Tensor) -> Tensor:
        return super().weigh(-noise, labels, drawn, mask)


class DrawsGlobally(ConvexGan):
    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        return super().forward(labels, drawn, torch.default_generator)


class GivesTensors(ConvexGan):
    def update(self, game: Game) -> Mapping[str, float]:
        return {"loss": cast(float, torch.ones(()))}


class ChangesTheClassifier(ConvexGan):
    @torch.no_grad()
    def update(self, game: Game) -> Mapping[str, float]:
        game.classifier.get_parameter("weight").add_(1.0)
        return {}


class LeavesGradients(ConvexGan):
    def update(self, game: Game) -> Mapping[str, float]:
        labels, drawn = game.draw()
        game.classifier(self(labels, drawn, game.rng).features).sum().backward()
        return {}


class ChangesTheFeatures(ConvexGan):
    def update(self, game: Game) -> Mapping[str, float]:
        game.real.features.zero_()
        return {}


class HidesAnOptimizer(ConvexGan):
    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"network": super().optimizers()["network"]}


class LearnsNothing(ConvexGan):
    def update(self, game: Game) -> Mapping[str, float]:
        return {}


class CountsOutsideItsState(ConvexGan):
    steps = 0

    @torch.no_grad()
    def update(self, game: Game) -> Mapping[str, float]:
        self.steps += 1
        self.network.last.bias.add_(self.steps * torch.arange(10.0))
        return {}


class ForgetsItsState(ConvexGan):
    def __init__(self, config: ConvexGanConfig, **facts: Any) -> None:
        super().__init__(config, **facts)
        self.shift = nn.Linear(8, 8).weight.detach()  # no buffer, so that no checkpoint has it

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        features, weights, _ = super().forward(labels, drawn, rng)
        return ArtificialFeatures(features + self.shift[0, 0], weights)


BROKEN: list[tuple[type[Any], Check, str]] = [
    (NeedsMore, kit.check_is_built_from_streams_and_classes, "missing 1 required keyword-only"),
    (ForgetsAStream, kit.check_makes_a_feature_of_each_label, r"\(6, 3\). Expected \(6, 7\)"),
    (GivesOneWeightOnly, kit.check_makes_a_feature_of_each_label, r"weights .* \(6, 1, 5\)"),
    (WeighsTooMuch, kit.check_weights_are_convex, "sum to 2 to 2"),
    (WeighsPadding, kit.check_weights_are_convex, "weights on padding reach"),
    (LeavesTheHull, kit.check_features_are_what_the_weights_say, "leaves the bounding box"),
    (
        NamesOtherSources,
        kit.check_features_are_what_the_weights_say,
        "is not the sum of its sources",
    ),
    (WeighsOtherwise, kit.check_what_is_exported_is_what_it_makes, "disagree by up to"),
    (DrawsGlobally, kit.check_the_given_generator_decides, "global random generator of torch"),
    (GivesTensors, kit.check_update_gives_finite_terms, "'loss': tensor"),
    (ChangesTheClassifier, kit.check_update_changes_only_itself, "changes the classifier"),
    (LeavesGradients, kit.check_update_changes_only_itself, "leaves gradients on the classifier"),
    (ChangesTheFeatures, kit.check_update_changes_only_itself, "features, labels or counts in pl"),
    (HidesAnOptimizer, kit.check_everything_trainable_learns, "No optimizer holds discriminator"),
    (LearnsNothing, kit.check_everything_trainable_learns, "6 updates do not change network.trunk"),
    (CountsOutsideItsState, kit.check_goes_on_where_it_was, "learns otherwise: network.last.bias"),
    (ForgetsItsState, kit.check_goes_on_where_it_was, "restored makes other features"),
]


@pytest.mark.parametrize(("broken", "check", "message"), BROKEN)
def test_a_broken_generator_is_caught(broken: type[Any], check: Check, message: str) -> None:
    with pytest.raises(AssertionError, match=f"{message}.* See fdmo_core"):
        check(broken, CONFIG)


def test_every_check_of_a_generator_is_proved_to_catch_something() -> None:
    assert {check for _, check, _ in BROKEN} == set(kit.CHECKS)
