from collections.abc import Callable
from typing import Any

import pytest
import torch

from fdmo_core import Phase2Parts
from fdmo_core.classifier import CosineClassifier, LinearClassifier
from fdmo_core.randomness import rng_for, seeded
from fdmo_core.testing.expectations import differing, snapshot
from fdmo_core.testing.toys import ToyLoss, ToyLossConfig
from fdmo_plugins.losses.ldam import LdamLoss, LdamLossConfig
from fdmo_plugins.rebalancers.crt import ClassifierRetraining, ClassifierRetrainingConfig

MakeParts = Callable[..., Phase2Parts]
COUNTS = torch.tensor([40, 12, 4])


class LabelCounter(ToyLoss):
    """Cross-entropy that counts the labels that it sees."""

    seen: torch.Tensor

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.seen = labels.bincount(minlength=logits.shape[1])
        return super().forward(logits, labels)


def retraining(parts: Phase2Parts, *, seed: int = 0, **options: Any) -> ClassifierRetraining:
    with seeded(seed):
        config = ClassifierRetrainingConfig.model_validate(options)
        return ClassifierRetraining(config, parts=parts)


def stepped(rebalancer: ClassifierRetraining) -> ClassifierRetraining:
    for index in range(rebalancer.num_steps):
        rebalancer.step(index, rng_for(0, index))
    return rebalancer


def seen_labels(parts: Phase2Parts, **options: Any) -> torch.Tensor:
    assert isinstance(parts.loss, LabelCounter)
    retraining(parts, batch_size=4000, **options).step(0, rng_for(0))
    return parts.loss.seen / 4000


def test_a_restarted_head_is_random_and_depends_on_the_seed(make_parts: MakeParts) -> None:
    parts = make_parts()
    heads = [snapshot(retraining(parts, seed=seed).classifier) for seed in (0, 0, 1)]

    assert differing(heads[0], heads[1]) == []
    assert differing(heads[0], heads[2]) == ["bias", "weight"]
    assert differing(heads[0], snapshot(parts.classifier)) == ["bias", "weight"]


def test_without_restart_the_head_begins_as_phase_1_left_it(make_parts: MakeParts) -> None:
    parts = make_parts()

    head = retraining(parts, restart=False).classifier

    assert differing(snapshot(head), snapshot(parts.classifier)) == []
    assert head is not parts.classifier


@pytest.mark.parametrize("restart", [True, False])
def test_the_head_has_the_form_that_the_loss_wants(make_parts: MakeParts, restart: bool) -> None:
    ldam = LdamLoss(LdamLossConfig(scale=20.0), class_counts=COUNTS)

    cosine = retraining(make_parts(loss=ldam), restart=restart).classifier

    assert isinstance(cosine, CosineClassifier)
    assert cosine.scale == 20.0
    assert isinstance(retraining(make_parts(), restart=restart).classifier, LinearClassifier)


def test_restarted_directions_are_short_enough_to_turn_within_a_training(
    make_parts: MakeParts,
) -> None:
    ldam = LdamLoss(LdamLossConfig(), class_counts=COUNTS)

    classifier = retraining(make_parts(loss=ldam)).classifier

    lengths = classifier.get_parameter("weight").norm(dim=1)
    assert (lengths < 1).all()  # each coordinate moves by about the rate in a step


def test_balanced_draws_give_all_classes_with_rows_an_equal_share(make_parts: MakeParts) -> None:
    loss = LabelCounter(ToyLossConfig(), class_counts=COUNTS)

    shares = seen_labels(make_parts((40, 12, 0, 4), loss=loss))

    assert shares.tolist() == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3], abs=0.03)


def test_natural_draws_follow_the_training_images_not_the_capped_dictionary(
    make_parts: MakeParts,
) -> None:
    loss = LabelCounter(ToyLossConfig(), class_counts=COUNTS)
    parts = make_parts((10, 10, 4), class_counts=(80, 16, 4), loss=loss)

    shares = seen_labels(parts, sampling="natural")

    assert shares.tolist() == pytest.approx([0.80, 0.16, 0.04], abs=0.03)


def test_an_epoch_is_a_pass_over_the_dictionary_s_size(make_parts: MakeParts) -> None:
    rebalancer = retraining(make_parts(), batch_size=25, epochs=4)

    assert rebalancer.num_steps == 12


@pytest.mark.parametrize("restart", [True, False])
def test_what_it_learns_tells_the_classes_apart(make_parts: MakeParts, restart: bool) -> None:
    parts = make_parts()

    classifier = stepped(
        retraining(parts, restart=restart, epochs=200, batch_size=56, learning_rate=0.03)
    ).classifier

    features, labels = parts.dictionary.store
    right = classifier(features).argmax(dim=1) == labels
    assert all(right[labels == label].float().mean() > 0.9 for label in range(3))


def test_no_epochs_are_no_steps(make_parts: MakeParts) -> None:
    assert retraining(make_parts(), epochs=0).num_steps == 0
