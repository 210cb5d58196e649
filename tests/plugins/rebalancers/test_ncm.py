from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import Tensor

from fdmo_core import Phase2Parts
from fdmo_core.classifier import LinearClassifier
from fdmo_core.randomness import rng_for
from fdmo_plugins.rebalancers.ncm import NearestClassMean, NearestClassMeanConfig

MakeParts = Callable[..., Phase2Parts]
FEATURES = 4 * torch.randn(50, 7, generator=rng_for(0, "features")) + 3


def ncm(parts: Phase2Parts, metric: Literal["euclidean", "cosine"]) -> NearestClassMean:
    return NearestClassMean(NearestClassMeanConfig(metric=metric), parts=parts)


def mean_of(parts: Phase2Parts, label: int) -> Tensor:
    features, labels = parts.dictionary.store
    own = [row for row, one in zip(features, labels.tolist(), strict=True) if one == label]
    return torch.stack(own).mean(dim=0)


def test_euclidean_is_the_nearest_mean_and_differences_are_half_squared_distances(
    make_parts: MakeParts,
) -> None:
    parts = make_parts()

    logits = ncm(parts, "euclidean").classifier(FEATURES)

    for feature, found in zip(FEATURES, logits, strict=True):
        squares = torch.stack([(feature - mean_of(parts, c)).square().sum() for c in range(3)])
        assert found.argmax() == squares.argmin()
        assert torch.allclose(found - found[0], (squares[0] - squares) / 2, atol=1e-3)


def test_cosine_is_the_mean_at_the_smallest_angle(make_parts: MakeParts) -> None:
    parts = make_parts()

    logits = ncm(parts, "cosine").classifier(FEATURES)

    for feature, found in zip(FEATURES, logits, strict=True):
        cosines = [
            float(feature @ mean_of(parts, c) / feature.norm() / mean_of(parts, c).norm())
            for c in range(3)
        ]
        expected = [float(feature.norm()) * cosine for cosine in cosines]
        assert found.tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_class_without_rows_is_never_the_nearest(
    make_parts: MakeParts, metric: Literal["euclidean", "cosine"]
) -> None:
    parts = make_parts((30, 8, 0, 5))
    features = parts.dictionary.store.features

    everything = torch.cat([features, 5 * features, -5 * features])
    found = ncm(parts, metric).classifier(everything).argmax(dim=1)

    assert 2 not in found.tolist()


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_result_can_be_saved(
    make_parts: MakeParts, metric: Literal["euclidean", "cosine"]
) -> None:
    assert isinstance(ncm(make_parts(), metric).classifier, LinearClassifier)
