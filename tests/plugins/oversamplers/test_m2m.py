import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from fdmo_core import DrawnFeatures, LabelledFeatures
from fdmo_core.classifier import LinearClassifier
from fdmo_core.randomness import rng_for
from fdmo_core.testing.toys import STREAM_DIMS, toy_dictionary
from fdmo_plugins.oversamplers.m2m import M2m, M2mConfig, source_chances

SIZES = (20, 9, 3)
LABELS = torch.tensor([1, 2, 2, 1, 0, 2])
UNMOVED = {"move_length": 1e-9, "start_noise": 0.0, "min_probability": 0.0}


def classifier() -> LinearClassifier:
    torch.manual_seed(1)
    return LinearClassifier(sum(STREAM_DIMS), 3)


def generator(**options: Any) -> M2m:
    built = M2m(
        M2mConfig.model_validate(options),
        num_classes=3,
        stream_dims=STREAM_DIMS,
        samples_per_class=5,
    )
    built.fit(toy_dictionary(SIZES).store, classifier())
    return built


def drawn(labels: Tensor) -> DrawnFeatures:
    return toy_dictionary(SIZES).draw(labels, samples_per_class=5, rng=rng_for(0))


def made(moving: M2m, labels: Tensor = LABELS, seed: int = 1) -> Tensor:
    features, weights, rows = moving(labels, drawn(labels), rng_for(seed))
    assert weights is None
    assert rows is None
    assert isinstance(features, Tensor)
    return features


def spread() -> float:
    """Return the root mean square distance of all features from their mean, by a loop."""
    store = toy_dictionary(SIZES).store.features
    mean = store.mean(dim=0)
    return math.sqrt(sum(float((one - mean).norm()) ** 2 for one in store) / len(store))


def row_of(feature: Tensor) -> int:
    """Return the row of the store that a feature is closest to."""
    return int((toy_dictionary(SIZES).store.features - feature).norm(dim=1).argmin())


def test_source_chances_are_the_formula_written_as_loops() -> None:
    sizes, beta = (40, 40, 12, 0), 0.9

    chances = source_chances(torch.tensor(sizes), beta=beta)

    for label, small in enumerate(sizes):
        expected = [1 - beta ** max(large - small, 0) for large in sizes]
        assert chances[label].tolist() == pytest.approx(expected, rel=1e-5)


def test_small_differences_of_class_size_are_not_lost_to_rounding() -> None:
    chances = source_chances(torch.tensor([5, 4]), beta=0.9999999)

    assert chances[1, 0].item() == pytest.approx(1e-7, rel=1e-4)


def test_sources_come_from_larger_classes_as_often_as_they_are_larger() -> None:
    labels = torch.full((4000,), 2)

    features = made(generator(beta=0.9, **UNMOVED), labels)

    rows = torch.tensor([row_of(one) for one in features])
    shares = (rows < 20).float().mean().item(), ((rows >= 20) & (rows < 29)).float().mean().item()
    odds = 1 - 0.9**17, 1 - 0.9**6
    expected = [one / sum(odds) for one in odds]
    assert shares == pytest.approx(expected, abs=0.03)  # 3.9 standard deviations
    assert rows.bincount(minlength=29)[:20].min() > 0


def moved_by_hand(
    feature: list[float], label: int, source: int, *, moves: int, length: float, penalty: float
) -> list[float]:
    weight, bias = classifier().weight.tolist(), classifier().bias.tolist()
    for _ in range(moves):
        logits = [
            sum(w * x for w, x in zip(row, feature, strict=True)) + b
            for row, b in zip(weight, bias, strict=True)
        ]
        total = sum(math.exp(one) for one in logits)
        slope = [
            sum((math.exp(logits[c]) / total - (c == label)) * weight[c][d] for c in range(3))
            + penalty * weight[source][d]
            for d in range(len(feature))
        ]
        size = math.sqrt(sum(one**2 for one in slope))
        feature = [x - length * one / size for x, one in zip(feature, slope, strict=True)]
    return feature


@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_moves_follow_the_normalised_gradient_written_as_loops(penalty: float) -> None:
    store, labels = toy_dictionary(SIZES).store
    options = {"start_noise": 0.0, "min_probability": 0.0, "source_penalty": penalty}
    starts = made(generator(**UNMOVED))

    features = made(generator(num_moves=4, move_length=0.2, **options))

    for sample in (0, 1, 2, 3, 5):  # the label of 4 has no larger class
        row = row_of(starts[sample])
        expected = moved_by_hand(
            store[row].tolist(),
            int(LABELS[sample]),
            int(labels[row]),
            moves=4,
            length=0.2 * spread(),
            penalty=penalty,
        )
        assert features[sample].tolist() == pytest.approx(expected, abs=1e-4)


def test_what_does_not_pass_for_its_label_becomes_a_drawn_feature_of_it() -> None:
    labels = LABELS.repeat(30)
    options = {"num_moves": 3, "start_noise": 0.0}
    all_moved = made(generator(min_probability=0.0, **options), labels)
    probability = classifier()(all_moved).softmax(dim=1)[torch.arange(len(labels)), labels]

    features = made(generator(min_probability=0.6, **options), labels)

    sets = drawn(labels)
    passes = (probability >= 0.6) & (labels != 0)
    assert passes.any()
    assert not passes[labels != 0].all()
    assert torch.equal(features[passes], all_moved[passes])
    for feature, group in zip(features[~passes], sets.groups[~passes], strict=True):
        own = sets.store[sets.rows[group][sets.mask[group]]]
        assert (own == feature).all(dim=1).any()


def test_the_largest_class_has_nothing_to_be_made_from_and_gives_its_own() -> None:
    labels = torch.zeros(50, dtype=torch.int64)

    features = made(generator(min_probability=0.0), labels)

    assert all((drawn(labels).features()[0] == one).all(dim=1).any() for one in features)


def test_sources_are_first_moved_at_random_but_not_too_far() -> None:
    options = {"move_length": 1e-9, "min_probability": 0.0}
    still, shaken = (
        made(generator(start_noise=noise, **options), LABELS.repeat(50)) for noise in (0.0, 0.4)
    )

    distances = (shaken - still).norm(dim=1)[LABELS.repeat(50) != 0]
    assert 0.35 * spread() < distances.max() <= 0.4 * spread() + 1e-4
    assert distances.min() < 0.1 * spread()


def test_features_ten_times_as_long_are_moved_ten_times_as_far() -> None:
    small, judge, sets = generator(min_probability=0.0), classifier(), drawn(LABELS)
    with torch.no_grad():
        judge.weight.div_(10)
    large = generator(min_probability=0.0)
    large.fit(LabelledFeatures(10 * sets.store, toy_dictionary(SIZES).store.labels), judge)

    features = large(LABELS, replace(sets, store=10 * sets.store), rng_for(1)).features

    assert torch.allclose(features, 10 * made(small), atol=1e-3)


def test_it_keeps_the_classifier_of_phase_1_as_it_was() -> None:
    judge = classifier()
    moving = generator()
    moving.fit(toy_dictionary(SIZES).store, judge)
    before = made(moving)

    with torch.no_grad():
        judge.weight.mul_(-1)

    assert torch.equal(before, made(moving))
    assert judge.weight.grad is None


def test_made_features_carry_no_gradient_and_leave_none() -> None:
    moving = generator()

    with torch.no_grad():
        without = made(moving)

    assert torch.equal(without, made(moving))
    assert not made(moving).requires_grad
    assert not any(weight.requires_grad for weight in moving.parameters())
