import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from fdmo_core import HeldOutSource, Phase2Parts
from fdmo_core.classifier import LinearClassifier
from fdmo_plugins.rebalancers.tau_norm import GRID, TauNorm, TauNormConfig, normalized_weights

MakeParts = Callable[..., Phase2Parts]
FEATURES = torch.linspace(-2, 3, 35).view(5, 7)


def tau_norm(parts: Phase2Parts, **options: Any) -> TauNorm:
    return TauNorm(TauNormConfig.model_validate(options), parts=parts)


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_logits_match_the_formula_written_as_a_loop(make_parts: MakeParts, tau: float) -> None:
    parts = make_parts()

    logits = tau_norm(parts, tau=tau).classifier(FEATURES)

    for label, weight in enumerate(parts.classifier.get_parameter("weight").tolist()):
        length = math.sqrt(sum(one**2 for one in weight))
        for feature, found in zip(FEATURES.tolist(), logits[:, label].tolist(), strict=True):
            product = sum(w * f for w, f in zip(weight, feature, strict=True))  # no bias
            assert found == pytest.approx(product / length**tau, abs=1e-5)


def test_strength_1_makes_all_weights_as_long(make_parts: MakeParts) -> None:
    classifier = tau_norm(make_parts(), tau=1.0).classifier

    lengths = classifier.get_parameter("weight").norm(dim=1)
    assert torch.allclose(lengths, torch.ones(3))


def test_a_row_of_zeros_stays() -> None:
    weights = normalized_weights(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), 2.0)

    assert torch.allclose(weights, torch.tensor([[0.12, 0.16], [0.0, 0.0]]))


def test_a_fixed_tau_asks_for_nothing_and_says_nothing(make_parts: MakeParts) -> None:
    asked: list[HeldOutSource] = []

    rebalancer = tau_norm(make_parts(asked=asked), tau=1.0)

    assert asked == []
    assert list(rebalancer.notices) == []


@pytest.mark.parametrize("source", ["validation", "out-of-fold"])
def test_a_fitted_tau_is_told_and_is_no_worse_than_any_other(
    make_parts: MakeParts, source: HeldOutSource
) -> None:
    held = make_parts().held_out(source)

    def acsa(**options: Any) -> float:
        classifier = tau_norm(make_parts(), **options).classifier
        right = classifier(held.features).argmax(dim=1) == held.labels
        recalls = [right[held.labels == label].double().mean() for label in range(3)]
        return float(torch.stack(recalls).mean())

    asked: list[HeldOutSource] = []
    (notice,) = tau_norm(make_parts(asked=asked), fit_on=source).notices

    assert asked == [source]
    assert f"chosen on 56 {source} images by their average class accuracy" in notice
    assert acsa(fit_on=source) >= max(acsa(tau=tau) for tau in GRID) - 1e-9


def test_out_of_fold_scores_are_needed_only_to_fit_on_them() -> None:
    needs = TauNorm.needs_out_of_fold

    assert needs(TauNormConfig(fit_on="out-of-fold"))
    assert not needs(TauNormConfig(fit_on="out-of-fold", tau=1.0))
    assert not needs(TauNormConfig())


def test_the_grid_is_the_source_s() -> None:
    assert tuple(index / 10 for index in range(21)) == GRID


def test_the_result_can_be_saved(make_parts: MakeParts) -> None:
    assert isinstance(tau_norm(make_parts()).classifier, LinearClassifier)
