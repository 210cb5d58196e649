from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from fdmo_core import Phase2Parts
from fdmo_core.classifier import LinearClassifier
from fdmo_core.randomness import rng_for
from fdmo_core.testing.expectations import differing, snapshot
from fdmo_core.testing.toys import toy_features
from fdmo_plugins.losses.ldam import LdamLoss, LdamLossConfig
from fdmo_plugins.rebalancers.lws import LearnedScales, LearnedScalesConfig

MakeParts = Callable[..., Phase2Parts]
FEATURES = torch.linspace(-2, 3, 35).view(5, 7)


def learned_scales(parts: Phase2Parts, **options: Any) -> LearnedScales:
    return LearnedScales(LearnedScalesConfig.model_validate(options), parts=parts)


def stepped(rebalancer: LearnedScales, num_steps: int) -> LearnedScales:
    for index in range(num_steps):
        rebalancer.step(index, rng_for(0, index))
    return rebalancer


def test_before_its_first_step_it_classifies_as_phase_1(make_parts: MakeParts) -> None:
    parts = make_parts()

    classifier = learned_scales(parts).classifier

    assert isinstance(classifier, LinearClassifier)
    assert torch.equal(classifier(FEATURES), parts.classifier(FEATURES))


def test_at_any_time_each_logit_is_phase_1_s_times_its_factor(make_parts: MakeParts) -> None:
    parts = make_parts()
    rebalancer = learned_scales(parts, batch_size=16)

    for index in range(5):
        rebalancer.step(index, rng_for(0, index))
        expected = [
            [factor * score for factor, score in zip(rebalancer.scales.tolist(), row, strict=True)]
            for row in parts.classifier(FEATURES).tolist()
        ]
        found = rebalancer.classifier(FEATURES)
        assert torch.allclose(found, torch.tensor(expected), atol=1e-5)


def test_only_the_factors_learn(make_parts: MakeParts) -> None:
    rebalancer = learned_scales(make_parts(), batch_size=16)
    before = snapshot(rebalancer)

    after = snapshot(stepped(rebalancer, 3))

    assert differing(before, after) == ["scales"]


def test_asking_for_the_classifier_draws_no_random_numbers(make_parts: MakeParts) -> None:
    rebalancer = learned_scales(make_parts())
    before = torch.get_rng_state()

    rebalancer.classifier(FEATURES)

    assert torch.equal(torch.get_rng_state(), before)


def test_the_balanced_cross_entropy_falls(make_parts: MakeParts) -> None:
    parts = make_parts()
    rebalancer = learned_scales(parts)

    features, labels, _ = toy_features((40, 12, 4))

    def balanced() -> float:
        terms = F.cross_entropy(rebalancer.classifier(features), labels, reduction="none")
        return sum(terms[labels == label].mean().item() for label in range(3)) / 3

    before = balanced()
    stepped(rebalancer, rebalancer.num_steps)

    assert balanced() < before - 0.05


def test_the_run_s_loss_plays_no_part(make_parts: MakeParts) -> None:
    ldam = LdamLoss(LdamLossConfig(), class_counts=torch.tensor([40, 12, 4]))

    plain, other = (stepped(learned_scales(make_parts(loss=loss)), 3) for loss in (None, ldam))

    assert torch.equal(plain.scales, other.scales)


def test_an_epoch_is_a_pass_over_the_dictionary_s_size(make_parts: MakeParts) -> None:
    rebalancer = learned_scales(make_parts(), batch_size=25, epochs=4)

    assert rebalancer.num_steps == 12


def test_a_class_without_rows_is_never_drawn(make_parts: MakeParts) -> None:
    rebalancer = learned_scales(make_parts((30, 8, 3, 0)))

    stepped(rebalancer, 5)  # the toy dictionary raises where it has nothing

    assert rebalancer.scales.isfinite().all()
