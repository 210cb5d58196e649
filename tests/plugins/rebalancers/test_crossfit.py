import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from fdmo_core import HeldOut, Phase2Parts
from fdmo_core.classifier import LinearClassifier
from fdmo_core.randomness import rng_for
from fdmo_core.testing.toys import (
    STREAM_DIMS,
    ToyLoss,
    ToyLossConfig,
    toy_dictionary,
    toy_generator,
    toy_held_out,
)
from fdmo_plugins.rebalancers.crossfit import CrossfitRebalancer, CrossfitRebalancerConfig
from fdmo_plugins.rebalancers.logit_adjustment import LogitAdjustment, LogitAdjustmentConfig

SIZES = (40, 9, 3)


@pytest.fixture
def parts() -> Phase2Parts:
    torch.manual_seed(0)
    counts = torch.tensor(SIZES)
    classifier = LinearClassifier(sum(STREAM_DIMS), len(SIZES))
    return Phase2Parts(
        classifier=classifier,
        dictionary=toy_dictionary(SIZES),
        class_counts=counts,
        make_generator=partial(toy_generator, num_classes=len(SIZES)),
        loss=ToyLoss(ToyLossConfig(), class_counts=counts),
        held_out=partial(toy_held_out, SIZES, classifier),
        rng=rng_for(0),
    )


def rebalancer(parts: Phase2Parts, **options: Any) -> CrossfitRebalancer:
    return CrossfitRebalancer(CrossfitRebalancerConfig(**options), parts=parts)


def stepped(one: CrossfitRebalancer) -> list[Mapping[str, float]]:
    return [one.step(index, rng_for(0, index)) for index in range(one.num_steps)]


def test_the_final_head_is_the_average_of_both(parts: Phase2Parts) -> None:
    one = rebalancer(parts, steps=5, adjusted_share=0.25)
    stepped(one)
    features = torch.randn(6, sum(STREAM_DIMS))

    expected = 0.75 * one.head(features) + 0.25 * one.adjusted(features)
    torch.testing.assert_close(one.classifier(features), expected)


def test_the_other_head_is_logit_adjustment_on_out_of_fold_logits(parts: Phase2Parts) -> None:
    config = LogitAdjustmentConfig(fit_on="out-of-fold", criterion="balanced-nll")
    features = torch.randn(6, sum(STREAM_DIMS))

    adjusted = LogitAdjustment(config, parts=parts)
    one = rebalancer(parts, adjusted_share=1.0)
    stepped(one)

    torch.testing.assert_close(one.classifier(features), adjusted.classifier(features))
    assert list(one.notices) == list(adjusted.notices)
    assert "out-of-fold" in one.notices[0]


def test_the_head_learns_from_out_of_fold_features_alone(parts: Phase2Parts) -> None:
    asked: list[str] = []

    def held_out(source: Any) -> HeldOut:
        asked.append(source)
        return toy_held_out(SIZES, parts.classifier, source)

    one = rebalancer(Phase2Parts(**{**vars(parts), "held_out": held_out, "dictionary": None}))
    losses = [terms["loss"] for terms in stepped(one)]

    assert asked == ["out-of-fold"]
    assert sum(losses[-10:]) < sum(losses[:10])


def test_a_step_is_adam_on_the_cross_entropy_of_a_balanced_draw(parts: Phase2Parts) -> None:
    one = rebalancer(parts, steps=3, batch_size=4000)
    held = toy_held_out(SIZES, parts.classifier, "out-of-fold")

    (first,) = [one.step(0, rng_for(0))["loss"]]

    by_class = []
    for label in range(len(SIZES)):
        logits: list[Tensor] = list(held.logits[held.labels == label])
        terms = [-math.log(row.softmax(0)[label].item()) for row in logits]
        by_class.append(sum(terms) / len(terms))
    assert first == pytest.approx(sum(by_class) / len(SIZES), rel=0.03)


def test_the_rate_falls_to_nothing(parts: Phase2Parts) -> None:
    one = rebalancer(parts, steps=4, learning_rate=0.1)
    rates = []
    for index in range(4):
        one.step(index, rng_for(0, index))
        rates.append(one.optimizers()["head"].param_groups[0]["lr"])

    expected = [0.05 * (1 + math.cos(math.pi * index / 4)) for index in range(4)]
    assert rates == pytest.approx(expected)


def test_it_needs_out_of_fold_scores() -> None:
    assert CrossfitRebalancer.needs_out_of_fold(CrossfitRebalancerConfig())
