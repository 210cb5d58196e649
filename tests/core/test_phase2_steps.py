"""A rebalancer's steps: what is not finite after one is told, and the step taken back or final."""

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from fdmo_core.classifier import LinearClassifier
from fdmo_core.errors import NonFiniteError
from fdmo_core.interfaces import ComponentConfig, LabelledFeatures, Phase2Parts, Rebalancer
from fdmo_core.nonfinite import NonfiniteConfig, NumberGuard
from fdmo_core.phase2_steps import guarded_steps
from fdmo_core.randomness import rng_for, seeded
from fdmo_core.testing.expectations import differing, snapshot
from fdmo_core.testing.toys import (
    STREAM_DIMS,
    ToyLoss,
    ToyLossConfig,
    toy_dictionary,
    toy_generator,
    toy_held_out,
)

SIZES = (6, 3)
SKIP = NonfiniteConfig(action="skip", limit=1)


class ToyRebalancerConfig(ComponentConfig):
    """Options of :class:`ToyRebalancer`: none."""

    name: Literal["toy-rebalancer"] = "toy-rebalancer"


class ToyRebalancer(Rebalancer):
    """Learns from all rows, and does what a test asks for in one of its steps."""

    config_class: ClassVar[type[ComponentConfig]] = ToyRebalancerConfig
    num_steps = 3

    def __init__(self, spoil: Callable[["ToyRebalancer"], None], at: int = 1) -> None:
        counts = torch.tensor(SIZES)
        with seeded(0, "toy-rebalancer"):
            head = LinearClassifier(sum(STREAM_DIMS), 2)
        parts = Phase2Parts(
            classifier=head,
            dictionary=toy_dictionary(SIZES),
            class_counts=counts,
            make_generator=partial(toy_generator, num_classes=2),
            loss=ToyLoss(ToyLossConfig(), class_counts=counts),
            held_out=partial(toy_held_out, SIZES, head),
            rng=rng_for(0),
        )
        super().__init__(ToyRebalancerConfig(), parts=parts)
        self.head, self.loss, self.spoil, self.at = head, parts.loss, spoil, at
        self.real = LabelledFeatures(*map(torch.clone, parts.dictionary.store))
        self.register_buffer("seen", torch.zeros(1))
        self.term = 0.5
        self._optimizer = torch.optim.Adam(self.parameters(), lr=0.1, fused=True)

    @property
    def classifier(self) -> nn.Module:
        """The head."""
        return self.head

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """One."""
        return {"head": self._optimizer}

    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        """Learn from all rows, spoilt or not."""
        real, term = self.real, self.term
        if index == self.at:
            self.spoil(self)
        seen = self.get_buffer("seen")
        seen += 1
        loss = self.loss(self.head(self.real.features), self.real.labels)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        told = {"real": loss.item(), "other": self.term}
        self.real, self.term = real, term
        return told


def spoilt_feature(toy: ToyRebalancer) -> None:
    features = toy.real.features.clone()
    features[7] = math.inf  # a row of class 1
    toy.real = LabelledFeatures(features, toy.real.labels)


def spoilt_term(toy: ToyRebalancer) -> None:
    toy.term = math.nan


def spoilt_weight(toy: ToyRebalancer) -> None:
    toy.head.weight.data[0, 0] = math.inf


def spoilt_buffer(toy: ToyRebalancer) -> None:
    toy.get_buffer("seen").fill_(math.nan)


def absurd_rate(toy: ToyRebalancer) -> None:
    toy.optimizers()["head"].param_groups[0]["lr"] = 1e39


SPOILS: Mapping[Callable[[ToyRebalancer], None], list[str]] = {
    spoilt_feature: ["real is nan", "gradient of head.weight", "class '1' (1 of 3)"],
    spoilt_term: ["diverged: other is nan. Expected"],
    spoilt_weight: ["weight of head.weight", "all 9 of the batch"],
    spoilt_buffer: ["diverged: weight of seen (100 % of it). Expected"],
    absurd_rate: ["weight of head.weight (100 % of it)", "weight of head.bias (100 % of it)"],
}
each_spoil = pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)


def nothing(toy: ToyRebalancer) -> None:
    """Spoil nothing."""


def state(toy: ToyRebalancer) -> dict[str, Tensor]:
    held = toy.optimizers()["head"].state_dict()["state"]
    moments = {f"{n}.{key}": one.clone() for n, of in held.items() for key, one in of.items()}
    return snapshot(toy) | moments


@each_spoil
def test_a_step_that_is_not_finite_stops_and_says_what_is_wrong(
    spoil: Callable[[ToyRebalancer], None],
) -> None:
    toy = ToyRebalancer(spoil)

    with guarded_steps(toy, NumberGuard("phase2")) as do_step:
        do_step(0, rng_for(0))
        with pytest.raises(NonFiniteError) as caught:
            do_step(1, rng_for(0))

    assert str(caught.value).startswith("Step 1 of phase2 diverged: ")
    for part in SPOILS[spoil]:
        assert part in str(caught.value)
    assert "rebalancer.learning_rate and generator.learning_rate" in str(caught.value)


@each_spoil
@pytest.mark.parametrize("at", [0, 1])
def test_after_a_skipped_step_all_goes_on_as_if_it_had_not_been(
    spoil: Callable[[ToyRebalancer], None], at: int
) -> None:
    skipping, plain = ToyRebalancer(spoil, at), ToyRebalancer(nothing)

    with guarded_steps(skipping, NumberGuard("phase2", SKIP)) as do_step:
        terms = [do_step(index, rng_for(0)) for index in range(3)]

    kept = [index for index in range(3) if index != at]
    assert terms[at] is None
    assert [terms[index] for index in kept] == [plain.step(index, rng_for(0)) for index in (0, 1)]
    assert differing(state(plain), state(skipping)) == []


def test_the_diagnosis_names_what_the_losses_were_asked_of(tmp_path: Path) -> None:
    toy = ToyRebalancer(spoilt_feature)
    guard = NumberGuard("phase2", folder=tmp_path)

    with guarded_steps(toy, guard) as do_step:
        first = do_step(0, rng_for(0))
        with pytest.raises(NonFiniteError):
            do_step(1, rng_for(0))

    found = json.loads((tmp_path / "diagnosis-phase2-1.json").read_text())
    assert found["classes"] == {"0": {"all": 6, "bad": 0}, "1": {"all": 3, "bad": 1}}
    assert found["steps_before"] == [{"step": 0, **(first or {})}]
    assert found["learning_rates"] == {"head": 0.1}
    kinds = [(one["kind"], one["name"]) for one in found["parameters"]]
    assert kinds == [
        *(("gradient", name) for name in ("head.weight", "head.bias")),
        *(("weight", name) for name in ("head.weight", "head.bias")),
    ]


def test_the_losses_are_no_longer_watched_afterwards() -> None:
    toy = ToyRebalancer(nothing)

    with guarded_steps(toy, NumberGuard("phase2")):
        pass

    assert not toy.loss._forward_hooks
