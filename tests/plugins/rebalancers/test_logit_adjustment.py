import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from fdmo_core import HeldOutSource, Phase2Parts
from fdmo_core.classifier import LinearClassifier
from fdmo_plugins.rebalancers.logit_adjustment import (
    GRID,
    LogitAdjustment,
    LogitAdjustmentConfig,
)

MakeParts = Callable[..., Phase2Parts]
FEATURES = torch.linspace(-2, 3, 35).view(5, 7)


def adjustment(parts: Phase2Parts, **options: Any) -> LogitAdjustment:
    return LogitAdjustment(LogitAdjustmentConfig.model_validate(options), parts=parts)


@pytest.mark.parametrize("tau", [-0.5, 0.0, 1.0, 1.35])
def test_logits_match_the_formula_written_as_a_loop(make_parts: MakeParts, tau: float) -> None:
    parts = make_parts()

    logits = adjustment(parts, tau=tau).classifier(FEATURES)

    before = parts.classifier(FEATURES).tolist()
    for row, found in zip(before, logits.tolist(), strict=True):
        expected = [
            score - tau * math.log(count / 56)
            for score, count in zip(row, (40, 12, 4), strict=True)
        ]
        assert found == pytest.approx(expected, abs=1e-5)


def test_the_prior_is_that_of_the_training_images_not_of_the_dictionary(
    make_parts: MakeParts,
) -> None:
    parts = make_parts((10, 10, 4), class_counts=(400, 12, 4))

    gains = adjustment(parts, tau=1.0).classifier(FEATURES) - parts.classifier(FEATURES)

    expected = -(torch.tensor([400, 12, 4]) / 416).log()
    assert torch.allclose(gains, expected.expand(5, 3), atol=1e-5)


def test_a_class_without_images_gains_no_more_than_the_largest(make_parts: MakeParts) -> None:
    parts = make_parts((30, 8, 0))

    gains = adjustment(parts, tau=2.0).classifier(FEATURES) - parts.classifier(FEATURES)

    assert torch.allclose(gains[:, 2], gains[:, 0], atol=1e-5)
    assert (gains[:, 1] > gains[:, 0]).all()


def test_a_fixed_tau_asks_for_nothing_and_says_nothing(make_parts: MakeParts) -> None:
    asked: list[HeldOutSource] = []

    rebalancer = adjustment(make_parts(asked=asked), tau=1.0)

    assert asked == []
    assert list(rebalancer.notices) == []


@pytest.mark.parametrize("source", ["validation", "out-of-fold"])
def test_a_fitted_tau_is_the_best_of_the_grid_on_the_chosen_images(
    make_parts: MakeParts, source: HeldOutSource
) -> None:
    asked: list[HeldOutSource] = []
    parts = make_parts(asked=asked)

    rebalancer = adjustment(parts, fit_on=source, criterion="acsa")

    held = make_parts().held_out(source)
    recalls = {}
    for tau in GRID:
        with torch.no_grad():
            found = adjustment(make_parts(), tau=tau).classifier(held.features).argmax(dim=1)
        own = [(found == c)[held.labels == c].double().mean().item() for c in range(3)]
        recalls[tau] = round(sum(own) / 3, 9)
    best = max(recalls.values())
    tau = min((tau for tau in GRID if recalls[tau] == best), key=lambda tau: abs(tau - 1))
    assert asked == [source]
    assert rebalancer.notices[0].startswith(f"tau = {tau:g}, chosen on 56 {source} images by")
    expected = adjustment(make_parts(), tau=tau).classifier(FEATURES)
    assert torch.equal(rebalancer.classifier(FEATURES), expected)


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({}, False),
        ({"fit_on": "out-of-fold"}, True),
        ({"fit_on": "out-of-fold", "tau": 1.0}, False),
    ],
)
def test_out_of_fold_scores_are_needed_only_to_fit_on_them(
    options: dict[str, Any], needed: bool
) -> None:
    config = LogitAdjustmentConfig.model_validate(options)

    assert LogitAdjustment.needs_out_of_fold(config) is needed


def test_the_grid_is_as_documented() -> None:
    assert (GRID[0], GRID[1], GRID[-1]) == (-1.0, -0.95, 3.0)
    assert {0.0, 1.0} < set(GRID)


def test_the_result_can_be_saved(make_parts: MakeParts) -> None:
    assert isinstance(adjustment(make_parts()).classifier, LinearClassifier)


def test_a_tau_beyond_reason_is_refused() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 10"):
        LogitAdjustmentConfig(tau=11.0)
