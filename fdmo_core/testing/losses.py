"""What every loss must do."""

from itertools import product
from typing import Any

import torch
from torch import Tensor

from fdmo_core.interfaces import Loss
from fdmo_core.testing.expectations import (
    Check,
    built,
    expect,
    expect_built,
    expect_no_global_randomness,
    expect_tensor,
)

READ = "Loss.forward"
CLASS_COUNTS = (40, 9, 2)
WITH_EMPTY = (40, 0, 2)
SHARES = (0.0, 0.99)  # of the training: its begin and its end
HALVES = (torch.bfloat16, torch.float16)
EXTREME = 1e4  # a logit that overflows exp and squares badly, and that training does reach


def check_is_built_from_class_counts(component: type[Any], config: Any) -> None:
    """It is constructed from its config and the class counts, one of which may be 0."""
    for counts in (CLASS_COUNTS, WITH_EMPTY):
        expect_built(component, Loss, config, class_counts=torch.tensor(counts))
    scale = loss_of(component, config).cosine_scale
    expect(
        scale is None or scale > 0,
        f"cosine_scale is {scale}. Expected None or a number above 0.",
        read="Loss",
    )


def check_is_one_finite_number(component: type[Any], config: Any) -> None:
    """It gives one finite, non-negative float32 number, whatever classes the batch has."""
    loss = loss_of(component, config)
    for labels in ([0, 1, 2], [2], [1, 1, 0, 1]):
        logits = torch.linspace(-2, 3, 3 * len(labels)).view(-1, 3)
        value = loss(logits, torch.tensor(labels))
        expect_tensor(value, (), torch.float32, what=f"The loss of labels {labels}", read=READ)
        expect(value >= 0, f"The loss is {value:g}. Expected at least 0.", read=READ)


def check_stays_finite_beside_a_class_without_images(component: type[Any], config: Any) -> None:
    """A class of count 0 spoils neither the loss of the others nor its gradient."""
    logits, labels = torch.tensor([[1.0, 0.5, -1.0], [0.0, 2.0, 1.0]]), torch.tensor([0, 2])
    for share in SHARES:
        loss = loss_of(component, config, share, class_counts=WITH_EMPTY)
        value, slope = _scored(loss, logits, labels)
        expect(
            value.isfinite() and slope.isfinite().all(),
            f"With counts of {WITH_EMPTY} the loss of labels {labels.tolist()} is {value:g} and "
            f"its gradient {slope.tolist()}. Expected finite numbers: a class without images is "
            f"no label, but it has a logit.",
            read=READ,
        )


def check_prefers_the_right_answer(component: type[Any], config: Any) -> None:
    """It is smaller where the true class has the highest score than where another has."""
    loss = loss_of(component, config)
    for label in range(3):
        right, wrong = (
            loss(5 * torch.eye(3)[[winner]], torch.tensor([label]))
            for winner in (label, (label + 1) % 3)
        )
        expect(
            right < wrong,
            f"Class {label} costs {right:g} when it is predicted and {wrong:g} when another class "
            f"is. Expected less for the right answer.",
            read=READ,
        )


def check_raises_the_score_of_the_true_class(component: type[Any], config: Any) -> None:
    """Its gradient raises the score of the true class of every sample."""
    labels = torch.tensor([0, 1, 2, 1])
    for logits in (torch.zeros(4, 3), 2 * torch.eye(3)[[1, 2, 0, 0]]):
        _, slope = _scored(loss_of(component, config), logits, labels)
        expect(
            (slope[range(4), labels] < 0).all(),
            f"The gradient of labels {labels.tolist()} is {slope.tolist()}. Expected a negative "
            f"one for each true class, so that a step raises its score.",
            read=READ,
        )


def check_survives_extreme_logits(component: type[Any], config: Any) -> None:
    """Value and gradient stay finite at logits of 10,000, whatever their precision."""
    for dtype in (torch.float32, *HALVES):
        logits = torch.tensor([[EXTREME, -EXTREME, 0.0]], dtype=dtype)
        for label, share in product(range(3), SHARES):
            value, slope = _scored(loss_of(component, config, share), logits, torch.tensor([label]))
            expect(
                value.isfinite() and slope.isfinite().all(),
                f"At logits {logits.tolist()} of {dtype} and label {label} the loss is {value:g} "
                f"and its gradient {slope.tolist()}. Expected finite numbers; log_softmax or clamp "
                f"keeps them so.",
                read=READ,
            )


def check_scores_half_precision(component: type[Any], config: Any) -> None:
    """Logits in half precision are scored in float32: the loss is that of the same numbers."""
    labels = torch.tensor([0, 1, 0])
    for dtype, share in product(HALVES, SHARES):
        logits = (3.3 * torch.eye(3)).to(dtype)
        value, slope = _scored(loss_of(component, config, share), logits, labels)
        wanted, _ = _scored(loss_of(component, config, share), logits.float(), labels)
        expect(
            value.dtype == torch.float32 and torch.equal(value, wanted) and slope.isfinite().all(),
            f"The loss of {dtype} logits is {value.item()} as {value.dtype}, with a gradient of "
            f"{slope.tolist()}. Expected {wanted.item()} as torch.float32 and a finite gradient; "
            f"begin with logits.float().",
            read=READ,
        )


def check_depends_on_the_share_of_training_alone(component: type[Any], config: Any) -> None:
    """What it gives at a point of the training does not depend on the points before."""
    logits, labels = torch.tensor([[1.0, 0.5, -1.0], [0.0, 2.0, 1.0]]), torch.tensor([0, 2])
    loss = loss_of(component, config)
    for share in (*SHARES, *reversed(SHARES)):
        loss.begin_step(share)
        value, wanted = loss(logits, labels), loss_of(component, config, share)(logits, labels)
        expect(
            torch.equal(value, wanted),
            f"After begin_step({share:g}) the loss is {value:g}, and {wanted:g} where nothing came "
            f"before. Expected the same, so that a run can go on from a checkpoint.",
            read="Loss.begin_step",
        )


def check_follows_a_permutation_of_the_classes(component: type[Any], config: Any) -> None:
    """Numbering the classes in another order changes nothing."""
    order = torch.tensor([2, 0, 1])  # new class i is old class order[i]
    logits = torch.tensor([[1.0, 0.5, -1.0], [0.0, 2.0, 1.0], [0.3, 0.1, 0.2]])
    labels = torch.tensor([0, 2, 1])
    value = loss_of(component, config)(logits, labels)
    renumbered = built(component, config, class_counts=torch.tensor(CLASS_COUNTS)[order])
    again = renumbered(logits[:, order], order.argsort()[labels])
    expect(
        torch.isclose(value, again, rtol=1e-5),
        f"The loss is {value:g}, and {again:g} when counts, logits and labels are renumbered "
        f"alike. Expected the same.",
        read=READ,
    )


def check_is_a_mean_over_the_batch(component: type[Any], config: Any) -> None:
    """A batch that holds every sample twice has the same loss."""
    logits, labels = torch.tensor([[1.0, 0.5, -1.0], [0.0, 2.0, 1.0]]), torch.tensor([0, 2])
    loss = loss_of(component, config)
    once, twice = loss(logits, labels), loss(logits.repeat(2, 1), labels.repeat(2))
    expect(
        torch.isclose(once, twice, rtol=1e-5),
        f"The loss is {once:g}, and {twice:g} when the batch holds every sample twice. Expected "
        f"the mean over the batch.",
        read=READ,
    )


def check_has_nothing_to_learn(component: type[Any], config: Any) -> None:
    """It has no parameter that wants a gradient, for no optimizer steps a loss."""
    learned = [
        name for name, one in loss_of(component, config).named_parameters() if one.requires_grad
    ]
    expect(
        not learned,
        f"{', '.join(learned)} would never be updated, for no optimizer of the engine holds what "
        f"a loss learns. Expected buffers, or requires_grad set to False.",
        read="Loss",
    )


def check_leaves_its_arguments_alone(component: type[Any], config: Any) -> None:
    """Logits and labels are the same afterwards."""
    logits, labels = torch.tensor([[1.0, 0.5, -1.0]]), torch.tensor([1])
    before = logits.clone(), labels.clone()
    loss_of(component, config)(logits, labels)
    expect(
        torch.equal(logits, before[0]) and torch.equal(labels, before[1]),
        "The loss changes its logits or labels in place. Expected it to work on copies.",
        read=READ,
    )


def check_repeats_itself(component: type[Any], config: Any) -> None:
    """It draws nothing, and gives the same value when it is asked again."""
    logits, labels = torch.tensor([[1.0, 0.5, -1.0]]), torch.tensor([1])
    loss = loss_of(component, config)
    with expect_no_global_randomness("The loss", read=READ):
        value = loss(logits, labels)
    expect(
        torch.equal(value, loss(logits, labels)),
        "A loss gives another value when it is asked again. Expected the same, bit for bit.",
        read=READ,
    )


def loss_of(
    component: type[Any],
    config: Any,
    share: float = 0.0,
    *,
    class_counts: tuple[int, ...] = CLASS_COUNTS,
    seed: int = 0,
) -> Loss:
    """Return a loss at a share of the training, built under a seed."""
    loss: Loss = built(component, config, seed=seed, class_counts=torch.tensor(class_counts))
    loss.begin_step(share)
    return loss


def _scored(loss: Loss, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss and its gradient."""
    scores = logits.clone().requires_grad_()
    value = loss(scores, labels)
    expect(
        value.requires_grad,
        "No gradient reaches the logits. Expected the loss to be computed from them.",
        read=READ,
    )
    return value.detach(), torch.autograd.grad(value, scores)[0]


CHECKS: tuple[Check, ...] = (
    check_is_built_from_class_counts,
    check_is_one_finite_number,
    check_stays_finite_beside_a_class_without_images,
    check_prefers_the_right_answer,
    check_raises_the_score_of_the_true_class,
    check_survives_extreme_logits,
    check_scores_half_precision,
    check_depends_on_the_share_of_training_alone,
    check_follows_a_permutation_of_the_classes,
    check_is_a_mean_over_the_batch,
    check_has_nothing_to_learn,
    check_leaves_its_arguments_alone,
    check_repeats_itself,
)
