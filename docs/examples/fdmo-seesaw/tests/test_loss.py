from math import exp, log

import pytest
import torch
from fdmo_seesaw.loss import SeesawLoss, SeesawLossConfig

from fdmo_core.testing import Check, checks_for

COUNTS = (400, 20, 3)


def loss_of(*, counts: tuple[int, ...] = COUNTS, **options: float) -> SeesawLoss:
    return SeesawLoss(SeesawLossConfig(**options), class_counts=torch.tensor(counts))


def by_loops(logits: list[list[float]], labels: list[int], p: float, q: float) -> float:
    """Return the loss as the paper writes it, one number after the other."""
    total = 0.0
    for scores, true in zip(logits, labels, strict=True):
        likely = [exp(score) / sum(map(exp, scores)) for score in scores]
        below = exp(scores[true])
        for other, score in enumerate(scores):
            if other == true:
                continue
            mitigation = 1.0
            if COUNTS[true] > COUNTS[other]:
                mitigation = (COUNTS[other] / COUNTS[true]) ** p
            compensation = 1.0
            if likely[other] > likely[true]:
                compensation = (likely[other] / likely[true]) ** q
            below += mitigation * compensation * exp(score)
        total -= log(exp(scores[true]) / below)
    return total / len(labels)


@pytest.mark.parametrize("check", checks_for("loss"), ids=lambda check: check.__name__)
def test_keeps_to_the_contract_of_a_loss(check: Check) -> None:
    check(SeesawLoss, SeesawLossConfig())


@pytest.mark.parametrize(("p", "q"), [(0.8, 2.0), (0.8, 0.0), (0.0, 2.0), (1.5, 0.5)])
def test_is_what_plain_loops_give(p: float, q: float) -> None:
    logits = torch.randn(12, 3, generator=torch.Generator().manual_seed(0)) * 2
    labels = torch.arange(12) % 3

    value = loss_of(mitigation=p, compensation=q)(logits, labels)

    assert value.item() == pytest.approx(by_loops(logits.tolist(), labels.tolist(), p, q), rel=1e-5)


def test_is_cross_entropy_where_both_exponents_are_0() -> None:
    logits, labels = torch.tensor([[1.0, 0.5, -1.0], [0.0, 2.0, 1.0]]), torch.tensor([0, 2])

    value = loss_of(mitigation=0, compensation=0)(logits, labels)

    assert torch.isclose(value, torch.nn.functional.cross_entropy(logits, labels))


def test_the_factors_are_constants_to_the_gradient() -> None:
    logits = torch.tensor([[0.0, 1.0, 0.0]], requires_grad=True)
    factors = torch.tensor([1.0, (20 / 400) ** 0.8 * exp(2.0), (3 / 400) ** 0.8])

    loss_of()(logits, torch.tensor([0])).backward()

    parts = factors * logits.detach().exp()
    wanted = parts / parts.sum() - torch.tensor([[1.0, 0.0, 0.0]])
    assert logits.grad is not None
    assert torch.allclose(logits.grad, wanted, atol=1e-6)


def test_an_image_of_a_common_class_pushes_a_rare_class_down_by_less() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)

    loss_of(compensation=0)(logits, torch.tensor([0])).backward()

    assert logits.grad is not None
    _, medium, rare = logits.grad[0].tolist()
    assert medium > rare > 0


def test_an_image_of_a_rare_class_pushes_the_others_down_as_in_cross_entropy() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)

    loss_of()(logits, torch.tensor([2])).backward()

    assert logits.grad is not None
    assert logits.grad[0, :2].tolist() == pytest.approx([1 / 3, 1 / 3])


def test_a_class_without_images_is_pushed_down_as_in_cross_entropy() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)

    loss_of(counts=(400, 400, 0))(logits, torch.tensor([0])).backward()

    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([-2 / 3, 1 / 3, 1 / 3])
