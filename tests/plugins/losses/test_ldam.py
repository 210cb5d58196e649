import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fdmo_plugins.losses.ldam import LdamLoss, LdamLossConfig, class_margins

COUNTS = torch.tensor([40, 9, 2])
COSINES = torch.tensor([[0.9, 0.1, -0.2], [0.2, 0.4, 0.3]])
LABELS = torch.tensor([0, 2])


def test_the_margins_of_the_gamo_counts_are_the_known_ones() -> None:
    counts = torch.tensor([4000, 2000, 1000, 750, 500, 350, 200, 100, 60, 40])

    margins = class_margins(counts, max_margin=0.5)

    known = [0.158, 0.188, 0.224, 0.240, 0.266, 0.291, 0.334, 0.398, 0.452, 0.500]
    assert margins.tolist() == pytest.approx(known, abs=6e-4)  # known to three digits


def test_a_class_without_images_changes_no_other_margin() -> None:
    with_empty = class_margins(torch.tensor([40, 0, 9, 2]), max_margin=0.5)

    assert with_empty[1] == 0.5
    assert torch.equal(with_empty[[0, 2, 3]], class_margins(COUNTS, max_margin=0.5))


def test_cosine_scores_match_the_formula_written_as_a_loop() -> None:
    loss = LdamLoss(LdamLossConfig(max_margin=0.4, scale=10.0), class_counts=COUNTS)

    expected = 0.0
    for row, label in zip(COSINES.tolist(), LABELS.tolist(), strict=True):
        margin = 0.4 * (2 / COUNTS[label].item()) ** 0.25
        scores = [10 * (cosine - margin * (j == label)) for j, cosine in enumerate(row)]
        probability = math.exp(scores[label]) / sum(math.exp(score) for score in scores)
        expected -= math.log(probability) / len(LABELS)

    assert loss(10 * COSINES, LABELS).item() == pytest.approx(expected, rel=1e-5)


def test_linear_logits_lose_the_margin_unscaled() -> None:
    config = LdamLossConfig(head="linear", scale=30.0)
    loss = LdamLoss(config, class_counts=COUNTS)

    shifted = COSINES.clone()
    shifted[[0, 1], LABELS] -= class_margins(COUNTS, config.max_margin)[LABELS]

    assert torch.allclose(loss(COSINES, LABELS), F.cross_entropy(shifted, LABELS))


def test_asks_the_classifier_for_cosines_only_with_a_cosine_head() -> None:
    cosine = LdamLoss(LdamLossConfig(scale=20.0), class_counts=COUNTS)
    linear = LdamLoss(LdamLossConfig(head="linear"), class_counts=COUNTS)

    assert cosine.cosine_scale == 20.0
    assert linear.cosine_scale is None


def test_a_margin_of_0_is_cross_entropy() -> None:
    loss = LdamLoss(LdamLossConfig(max_margin=0.0), class_counts=COUNTS)

    assert torch.equal(loss(COSINES, LABELS), F.cross_entropy(COSINES, LABELS))


def test_leaves_the_logits_as_they_are() -> None:
    loss = LdamLoss(LdamLossConfig(), class_counts=COUNTS)
    logits = 30 * COSINES

    loss(logits, LABELS)

    assert torch.equal(logits, 30 * COSINES)


def test_nothing_of_it_goes_into_a_checkpoint() -> None:
    loss = LdamLoss(LdamLossConfig(), class_counts=COUNTS)

    assert loss.state_dict() == {}


def test_half_precision_logits_are_scored_in_float32() -> None:
    loss = LdamLoss(LdamLossConfig(), class_counts=COUNTS)
    logits = (30 * COSINES).bfloat16()

    assert loss(logits, LABELS).dtype == torch.float32
    assert torch.equal(loss(logits, LABELS), loss(logits.float(), LABELS))


@pytest.mark.parametrize("label", [0, 1])
def test_stays_finite_at_extreme_logits(label: int) -> None:
    loss = LdamLoss(LdamLossConfig(), class_counts=COUNTS)
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)

    value = loss(logits, torch.tensor([label]))
    (gradient,) = torch.autograd.grad(value, logits)

    assert value.isfinite()
    assert gradient.isfinite().all()


def weighted(share: float) -> Tensor:
    loss = LdamLoss(LdamLossConfig(drw_start=0.75, drw_beta=0.9), class_counts=COUNTS)
    loss.begin_step(share)
    value: Tensor = loss(30 * COSINES, LABELS)
    return value


def test_before_its_share_of_the_training_no_class_is_weighted() -> None:
    plain = LdamLoss(LdamLossConfig(), class_counts=COUNTS)

    assert torch.equal(weighted(0.74), plain(30 * COSINES, LABELS))


def test_from_its_share_on_the_loss_matches_the_weighted_formula_written_as_a_loop() -> None:
    raw = [(1 - 0.9) / (1 - 0.9**count) for count in COUNTS.tolist()]

    expected = 0.0
    for row, label in zip(COSINES.tolist(), LABELS.tolist(), strict=True):
        margin = 0.5 * (2 / COUNTS[label].item()) ** 0.25
        scores = [30 * (cosine - margin * (j == label)) for j, cosine in enumerate(row)]
        probability = math.exp(scores[label]) / sum(math.exp(score) for score in scores)
        expected -= 3 * raw[label] / sum(raw) * math.log(probability) / len(LABELS)

    assert weighted(0.75).item() == pytest.approx(expected, rel=1e-5)


def test_a_start_of_1_never_weighs() -> None:
    loss = LdamLoss(LdamLossConfig(), class_counts=COUNTS)
    before = loss(30 * COSINES, LABELS)

    loss.begin_step(0.999999)

    assert torch.equal(loss(30 * COSINES, LABELS), before)
