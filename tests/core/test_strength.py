import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fdmo_core import DataError
from fdmo_core.randomness import rng_for
from fdmo_core.strength import Criterion, Strength, best_strength

GRID = tuple(round(-1 + 0.25 * index, 2) for index in range(17))
PRIOR = torch.tensor([0.7, 0.25, 0.05]).log()
LABELS = torch.tensor([0] * 20 + [1] * 6 + [2] * 4)


def held_out_logits(scale: float = 1.0) -> Tensor:
    noise = torch.randn(len(LABELS), 3, generator=rng_for(0, "held-out"))
    return scale * (noise + 2 * torch.eye(3)[LABELS] + PRIOR)


def adjusted(logits: Tensor) -> Callable[[float], Tensor]:
    return lambda tau: logits - tau * PRIOR


def chosen(
    logits_of: Callable[[float], Tensor],
    labels: Tensor = LABELS,
    *,
    criterion: Criterion = "acsa",
    nearest_to: float = 1.0,
) -> Strength:
    return best_strength(
        GRID, logits_of, labels, criterion=criterion, num_classes=3, nearest_to=nearest_to
    )


def test_the_average_class_accuracy_matches_a_loop_over_classes() -> None:
    logits = held_out_logits()

    found = chosen(adjusted(logits))

    expected = {}
    for tau in GRID:
        recalls = []
        for label in range(3):
            own = (logits - tau * PRIOR)[label == LABELS]
            recalls.append(sum(int(row.argmax()) == label for row in own) / len(own))
        expected[tau] = sum(recalls) / 3
    assert found.score == pytest.approx(max(expected.values()))
    assert expected[found.value] == max(expected.values())


def test_the_log_likelihood_is_that_of_the_best_of_many_temperatures() -> None:
    logits = held_out_logits()
    scales = torch.logspace(-2, 2, 2001).tolist()

    found = chosen(adjusted(logits), criterion="balanced-nll")

    expected = {}
    for tau in GRID:
        of_scale = []
        for scale in scales:
            likely = (scale * (logits - tau * PRIOR)).log_softmax(dim=1)
            own = [likely[label == LABELS, label].mean() for label in range(3)]
            of_scale.append(float(sum(own)) / 3)
        expected[tau] = max(of_scale)
    assert found.score == pytest.approx(max(expected.values()), abs=1e-5)
    assert found.value == max(GRID, key=lambda tau: expected[tau])


@pytest.mark.parametrize("scale", [0.02, 50.0])
def test_confidence_does_not_move_the_likelihood(scale: float) -> None:
    logits = held_out_logits()

    plain = chosen(adjusted(logits), criterion="balanced-nll")
    scaled = chosen(lambda tau: scale * (logits - tau * PRIOR), criterion="balanced-nll")

    assert scaled.value == plain.value
    assert scaled.score == pytest.approx(plain.score, abs=1e-6)


@pytest.mark.parametrize("criterion", ["acsa", "balanced-nll"])
def test_more_images_of_a_class_give_it_no_more_say(criterion: Criterion) -> None:
    logits = held_out_logits()
    often = torch.cat([logits, logits[LABELS == 0].repeat(9, 1)])
    labels = torch.cat([LABELS, LABELS[LABELS == 0].repeat(9)])

    plain = chosen(adjusted(logits), criterion=criterion)
    found = chosen(adjusted(often), labels, criterion=criterion)

    assert found.value == plain.value
    assert found.score == pytest.approx(plain.score)


@pytest.mark.parametrize(("nearest_to", "expected"), [(1.0, 1.0), (0.6, 0.5), (9.0, 3.0)])
def test_of_equals_the_one_nearest_to_the_wanted_value_is_taken(
    nearest_to: float, expected: float
) -> None:
    found = chosen(lambda _: torch.eye(3)[LABELS], nearest_to=nearest_to)

    assert found.value == expected


def test_of_two_as_near_the_smaller_is_taken() -> None:
    def logits_of(tau: float) -> Tensor:
        right = torch.eye(3)[LABELS]
        return -right if tau == 1.0 else right

    assert chosen(logits_of).value == 0.75


def test_a_class_without_images_has_no_say() -> None:
    known = LABELS != 1

    found = chosen(adjusted(held_out_logits()[known]), LABELS[known])

    assert found.score <= 1
    assert found.class_sizes.tolist() == [20, 0, 4]
    assert math.isfinite(found.score)
    assert chosen(lambda _: torch.eye(3)[LABELS[known]], LABELS[known]).score == pytest.approx(1)


@pytest.mark.parametrize("logits", [torch.zeros(30, 3), 1e4 * torch.eye(3)[LABELS]])
def test_the_likelihood_is_finite_where_nothing_or_everything_is_known(logits: Tensor) -> None:
    found = chosen(lambda _: logits, criterion="balanced-nll")

    assert math.isfinite(found.score)
    assert found.value == 1.0


def test_the_notice_says_what_was_chosen_on_what() -> None:
    found = Strength(1.35, 0.81234, "acsa", torch.tensor([900, 96, 4]))

    assert found.describe("tau", "validation") == (
        "tau = 1.35, chosen on 1,000 validation images by their average class accuracy, 0.8123; "
        "the class with the fewest has 4."
    )


def test_the_notice_says_which_share_of_the_classes_had_no_say() -> None:
    found = Strength(0.5, -0.25, "balanced-nll", torch.tensor([9, 0, 4, 0]))

    assert found.describe("tau", "out-of-fold") == (
        "tau = 0.5, chosen on 13 out-of-fold images by their average log-likelihood of the "
        "classes, -0.2500; the class with the fewest has 4. 2 of 4 classes have none and had no "
        "say."
    )


def test_nothing_to_choose_on_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        chosen(lambda _: torch.empty(0, 3), torch.empty(0, dtype=torch.int64))

    assert str(caught.value) == (
        "There are no held-out images to choose a strength on. Expected at least one. Give the "
        "data a validation split, or fix the strength."
    )
