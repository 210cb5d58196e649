from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fdmo_core import ArtificialFeatures, Phase2Parts
from fdmo_core.randomness import rng_for
from fdmo_core.testing import Check
from fdmo_core.testing import rebalancers as kit
from fdmo_plugins.rebalancers.adversarial import AdversarialConfig, AdversarialRebalancer

CONFIG = AdversarialConfig(batch_size=8, samples_per_class=4)
CALLS = count()


class SpeaksInOneString(AdversarialRebalancer):
    def __init__(self, config: AdversarialConfig, *, parts: Phase2Parts) -> None:
        super().__init__(config, parts=parts)
        self.notices = "One class is small."  # a sequence of letters


class CountsItsStepsInFractions(AdversarialRebalancer):
    def __init__(self, config: AdversarialConfig, *, parts: Phase2Parts) -> None:
        super().__init__(config, parts=parts)
        self.num_steps = 2.5  # type: ignore[assignment]


class ForgetsAClass(AdversarialRebalancer):
    @property
    def classifier(self) -> nn.Module:
        return nn.Linear(7, 3)


class DrawsGlobally(AdversarialRebalancer):
    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        return super().step(index, torch.default_generator)


class LosesItsTerms(AdversarialRebalancer):
    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        return {"real": float("nan")}


class DrawsFromEmptyClasses(AdversarialRebalancer):
    def __init__(self, config: AdversarialConfig, *, parts: Phase2Parts) -> None:
        super().__init__(config, parts=parts)
        self._real_prior = torch.ones(4)


class WorksOnTheGivenClassifier(AdversarialRebalancer):
    def __init__(self, config: AdversarialConfig, *, parts: Phase2Parts) -> None:
        super().__init__(config, parts=parts)
        self.main_classifier = parts.classifier
        self._optimizer = torch.optim.Adam(parts.classifier.parameters(), lr=0.1)


class ChangesTheCounts(AdversarialRebalancer):
    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        self._class_counts.clamp_(min=1)
        return super().step(index, rng)


class HidesItsOptimizer(AdversarialRebalancer):
    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {}


class LearnsNothing(AdversarialRebalancer):
    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        return {}


class GoesOnFromTheRunBefore(AdversarialRebalancer):
    @torch.no_grad()
    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        self.main_classifier.get_parameter("bias").fill_(next(CALLS))
        return {}


class CountsOutsideItsState(AdversarialRebalancer):
    steps = 0

    @torch.no_grad()
    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        self.steps += 1
        self.main_classifier.get_parameter("bias").fill_(self.steps)
        return {}


class SaysNothingToTheLoss(AdversarialRebalancer):
    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        return super().step(0, rng)


class TakesUnannouncedScores(AdversarialRebalancer):
    def __init__(self, config: AdversarialConfig, *, parts: Phase2Parts) -> None:
        super().__init__(config, parts=parts)
        parts.held_out("out-of-fold")


class AnnouncesInVain(AdversarialRebalancer):
    @classmethod
    def needs_out_of_fold(cls, config: AdversarialConfig) -> bool:
        return True


class KnowsNoRows(AdversarialRebalancer):
    def make_artificial(self, labels: Tensor, rng: torch.Generator) -> ArtificialFeatures | None:
        made = super().make_artificial(labels, rng)
        return made and made._replace(rows=None)


class NamesImagesForRows(AdversarialRebalancer):
    def make_artificial(self, labels: Tensor, rng: torch.Generator) -> ArtificialFeatures | None:
        made = super().make_artificial(labels, rng)
        assert made is not None
        assert made.rows is not None
        return made._replace(rows=7 * made.rows + 3)


class MakesWhatItLikes(AdversarialRebalancer):
    def make_artificial(self, labels: Tensor, rng: torch.Generator) -> ArtificialFeatures | None:
        return super().make_artificial(labels, rng_for(next(CALLS)))


BROKEN: list[tuple[type[Any], Check, str]] = [
    (SpeaksInOneString, kit.check_is_built_from_its_parts, "notices is 'One class is small.'"),
    (CountsItsStepsInFractions, kit.check_is_built_from_its_parts, "num_steps is 2.5"),
    (ForgetsAClass, kit.check_classifies_at_any_time, r"\(1, 3\). Expected \(1, 4\)"),
    (DrawsGlobally, kit.check_steps_give_finite_terms, "global random generator of torch"),
    (LosesItsTerms, kit.check_steps_give_finite_terms, "{'real': nan} are not finite"),
    (DrawsFromEmptyClasses, kit.check_steps_give_finite_terms, "Features of class 3 were asked"),
    (WorksOnTheGivenClassifier, kit.check_leaves_what_it_is_given_alone, "the classifier that ph"),
    (ChangesTheCounts, kit.check_leaves_what_it_is_given_alone, "dictionary or the class counts"),
    (HidesItsOptimizer, kit.check_everything_trainable_learns, "holds main_classifier.weight"),
    (LearnsNothing, kit.check_everything_trainable_learns, "4 steps do not change main_classif"),
    (GoesOnFromTheRunBefore, kit.check_repeats_itself, "differ in main_classifier.bias"),
    (SaysNothingToTheLoss, kit.check_tells_the_loss_how_far_it_is, r"with \[0.0\]. Expected one"),
    (TakesUnannouncedScores, kit.check_asks_for_the_scores_that_it_announced, "is False, and"),
    (AnnouncesInVain, kit.check_asks_for_the_scores_that_it_announced, "is True, and"),
    (KnowsNoRows, kit.check_knows_what_its_artificial_features_are_made_of, "and no rows"),
    (NamesImagesForRows, kit.check_knows_what_its_artificial_features_are_made_of, "which has 41"),
    (MakesWhatItLikes, kit.check_knows_what_its_artificial_features_are_made_of, "other features"),
    (CountsOutsideItsState, kit.check_goes_on_where_it_was, r"otherwise \(main_classifier.bias\)"),
]


@pytest.mark.parametrize(("broken", "check", "message"), BROKEN)
def test_a_broken_rebalancer_is_caught(broken: type[Any], check: Check, message: str) -> None:
    with pytest.raises(AssertionError, match=f"{message}.* See fdmo_core"):
        check(broken, CONFIG)


def test_every_check_of_a_rebalancer_is_proved_to_catch_something() -> None:
    assert {check for _, check, _ in BROKEN} == set(kit.CHECKS)
