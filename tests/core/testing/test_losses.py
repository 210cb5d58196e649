from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fdmo_core.testing import Check
from fdmo_core.testing import losses as kit
from fdmo_plugins.losses.cross_entropy import CrossEntropyLoss, CrossEntropyLossConfig


class RefusesEmptyClasses(CrossEntropyLoss):
    def __init__(self, config: CrossEntropyLossConfig, *, class_counts: Tensor) -> None:
        super().__init__(config, class_counts=class_counts)
        if not class_counts.all():
            raise ZeroDivisionError("a class is empty")


class OneLossPerSample(CrossEntropyLoss):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, reduction="none")


class Negative(CrossEntropyLoss):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return super().forward(logits, labels) - 100


class CentresItsPriors(CrossEntropyLoss):
    def __init__(self, config: CrossEntropyLossConfig, *, class_counts: Tensor) -> None:
        super().__init__(config, class_counts=class_counts)
        self.offsets = class_counts.log() - class_counts.log().mean()  # NaN beside log 0

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return super().forward(logits + self.offsets, labels)


class IgnoresLabels(CrossEntropyLoss):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return logits.float().square().mean()


class Detached(CrossEntropyLoss):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return super().forward(logits.detach(), labels)


class Flat(CrossEntropyLoss):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return super().forward(logits.detach(), labels) + 0 * logits.sum()


class Overflows(CrossEntropyLoss):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        likely = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
        return -likely[range(len(labels)), labels].log().mean()


class BreaksInHalfPrecision(CrossEntropyLoss):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return super().forward(logits / (torch.finfo(logits.dtype).eps < 1e-6), labels)


class StaysInHalfPrecision(CrossEntropyLoss):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels)


class CountsItsSteps(CrossEntropyLoss):
    steps = 0

    def begin_step(self, share: float) -> None:
        self.steps += 1

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return super().forward(logits / self.steps, labels)


class PrefersClassNumbers(CrossEntropyLoss):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), labels, reduction="none").mul(labels + 1.0).mean()


class SumsUp(CrossEntropyLoss):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), labels, reduction="sum")


class WorksInPlace(CrossEntropyLoss):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return super().forward(logits.sub_(1.0), labels)


class DrawsGlobally(CrossEntropyLoss):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return super().forward(logits + torch.rand(()), labels)


class CountsItsCalls(CrossEntropyLoss):
    calls = 0

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(logits / self.calls, labels)


class LearnsAScale(CrossEntropyLoss):
    def __init__(self, config: CrossEntropyLossConfig, *, class_counts: Tensor) -> None:
        super().__init__(config, class_counts=class_counts)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return super().forward(self.scale * logits, labels)


BROKEN: list[tuple[type[Any], Check, str]] = [
    (RefusesEmptyClasses, kit.check_is_built_from_class_counts, "ZeroDivisionError: a class"),
    (OneLossPerSample, kit.check_is_one_finite_number, r"shape \(3,\). Expected \(\)"),
    (Negative, kit.check_is_one_finite_number, "Expected at least 0"),
    (
        CentresItsPriors,
        kit.check_stays_finite_beside_a_class_without_images,
        r"counts of \(40, 0, 2\) the loss of labels \[0, 2\] is nan",
    ),
    (IgnoresLabels, kit.check_prefers_the_right_answer, "Class 0 costs"),
    (Detached, kit.check_raises_the_score_of_the_true_class, "No gradient reaches the logits"),
    (Flat, kit.check_raises_the_score_of_the_true_class, "Expected a negative one"),
    (Overflows, kit.check_survives_extreme_logits, "the loss is nan"),
    (BreaksInHalfPrecision, kit.check_scores_half_precision, "begin with logits.float"),
    (StaysInHalfPrecision, kit.check_scores_half_precision, r"as torch.bfloat16, with"),
    (CountsItsSteps, kit.check_depends_on_the_share_of_training_alone, "nothing came before"),
    (PrefersClassNumbers, kit.check_follows_a_permutation_of_the_classes, "renumbered alike"),
    (SumsUp, kit.check_is_a_mean_over_the_batch, "Expected the mean over the batch"),
    (WorksInPlace, kit.check_leaves_its_arguments_alone, "changes its logits or labels in place"),
    (DrawsGlobally, kit.check_repeats_itself, "global random generator of torch"),
    (CountsItsCalls, kit.check_repeats_itself, "when it is asked again"),
    (LearnsAScale, kit.check_has_nothing_to_learn, "scale would never be updated"),
]


@pytest.mark.parametrize(("broken", "check", "message"), BROKEN)
def test_a_broken_loss_is_caught(broken: type[Any], check: Check, message: str) -> None:
    with pytest.raises(AssertionError, match=f"{message}.* See fdmo_core"):
        check(broken, CrossEntropyLossConfig())


def test_every_check_of_a_loss_is_proved_to_catch_something() -> None:
    assert {check for _, check, _ in BROKEN} == set(kit.CHECKS)
