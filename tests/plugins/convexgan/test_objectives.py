import math

import pytest
import torch
from torch import Tensor

from fdmo_plugins.convexgan.objectives import (
    deception_objective,
    discriminator_objective,
    realism_objective,
)

LOGITS = [[1.0, 0.0, -1.0, 0.5], [0.2, 2.0, 0.1, 0.0]]
LABELS = [2, 1]


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(score) for score in row)
    return [math.exp(score) / total for score in row]


def best_answer(*, majority_class: int | None) -> Tensor:
    """Return the probabilities (4,) that minimise the objective of class 2, by descent."""
    logits = torch.zeros(1, 4, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.2)
    for _ in range(300):
        optimizer.zero_grad()
        deception_objective(logits, torch.tensor([2]), majority_class=majority_class).backward()
        optimizer.step()
    return logits.detach().softmax(dim=1)[0]


def cost(probabilities: list[float]) -> float:
    return deception_objective(torch.tensor([probabilities]).log(), torch.tensor([0])).item()


def test_discriminator_objective_is_equation_5_written_as_loops() -> None:
    real, artificial = [0.9, 0.4], [0.1, 0.3, 0.8]

    expected = sum((1 - score) ** 2 for score in real) / 2
    expected += sum(score**2 for score in artificial) / 3

    value = discriminator_objective(torch.tensor(real), torch.tensor(artificial))
    assert value.item() == pytest.approx(expected, rel=1e-6)


def test_realism_is_the_third_term_of_equation_4_written_as_a_loop() -> None:
    scores = [0.9, 0.4, 0.0]

    expected = sum((1 - score) ** 2 for score in scores) / 3

    assert realism_objective(torch.tensor(scores)).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("majority_class", [None, 0])
def test_deception_is_equation_4_written_as_loops(majority_class: int | None) -> None:
    expected = 0.0
    for row, label in zip(LOGITS, LABELS, strict=True):
        for j, probability in enumerate(softmax(row)):
            if j != majority_class:
                target = 0 if j == label else 1
                expected += (target - probability) ** 2 / len(LABELS)

    value = deception_objective(
        torch.tensor(LOGITS), torch.tensor(LABELS), majority_class=majority_class
    )
    assert value.item() == pytest.approx(expected, rel=1e-6)


def test_the_best_deception_is_uniform_over_all_other_classes() -> None:
    best = best_answer(majority_class=None)

    assert best.tolist() == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3], abs=0.01)


def test_leaving_the_majority_out_rewards_avoiding_its_border() -> None:
    best = best_answer(majority_class=0)

    assert best.tolist() == pytest.approx([0, 1 / 2, 0, 1 / 2], abs=0.01)


def test_the_floor_is_high_and_flat_beyond_uniform_with_46_classes() -> None:
    certain, uniform, best = (
        cost([1.0] + [1e-30] * 45),
        cost([1 / 46] * 46),
        cost([1e-30] + [1 / 45] * 45),
    )

    assert certain == pytest.approx(46, abs=0.005)
    assert uniform == pytest.approx(43.07, abs=0.005)
    assert best == pytest.approx(43.02, abs=0.005)


def test_deception_reads_half_precision_logits_in_float32() -> None:
    logits, labels = torch.tensor(LOGITS).bfloat16(), torch.tensor(LABELS)

    value = deception_objective(logits, labels)

    assert torch.equal(value, deception_objective(logits.float(), labels))
