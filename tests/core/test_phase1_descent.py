"""Adam's steps in phase 1: what is not finite is found before it spoils a weight."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fdmo_core.errors import NonFiniteError
from fdmo_core.journal import Journal
from fdmo_core.nonfinite import NonfiniteConfig, NumberGuard
from fdmo_core.phase1_descent import GuardedDescent, Seen, bad_rows
from fdmo_core.phase1_network import Predictions
from fdmo_core.randomness import rng_for, seeded
from fdmo_core.testing.expectations import differing, snapshot
from fdmo_core.world import World, joined_world

LABELS = torch.tensor([0, 0, 1, 2, 2, 2])
SKIP = NonfiniteConfig(action="skip", limit=1)

Losses = Callable[[Predictions, Tensor, Tensor], Mapping[str, Tensor]]


class Learner:
    """A small network with batch normalisation, and what descends for it."""

    def __init__(self, guard: NumberGuard, *, rate: float = 0.1, scaled: bool = False) -> None:
        with seeded(0, "learner"):
            self.model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate, fused=True)
        scaler = torch.amp.GradScaler("cpu", enabled=scaled)
        self.descent = GuardedDescent(self.model, self.optimizer, scaler, guard)

    def step(self, index: int, inputs: Tensor, losses: Losses) -> dict[str, float] | None:
        self.descent.begin_step()
        found = Predictions(self.model(inputs), None, None)
        nothing = torch.empty(6, 0, 3)
        return self.descent.step(
            index,
            losses(found, LABELS, nothing),
            Seen(inputs, found, LABELS, nothing, torch.arange(10, 16), losses, World()),
        )

    def state(self) -> dict[str, Tensor]:
        held = self.optimizer.state_dict()["state"]
        moments = {f"{n}.{key}": one for n, of in held.items() for key, one in of.items()}
        return snapshot(self.model) | {key: one.clone() for key, one in moments.items()}


def inputs(step: int) -> Tensor:
    return torch.randn(6, 4, generator=rng_for(0, "inputs", step))


def entropy(found: Predictions, labels: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
    assert found.main is not None
    return {"main": F.cross_entropy(found.main, labels)}


def infinite_for(label: int, value: float) -> Losses:
    """Return losses one of which is not finite wherever the class is among the labels."""

    def losses(found: Predictions, labels: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
        main = entropy(found, labels, landmarks)["main"]
        return {"main": main, "odd": main * (value if (labels == label).any() else 1.0)}

    return losses


def steep_for(label: int) -> Losses:
    """Return a finite loss of which the slope is infinite for a class: a root at 0."""

    def losses(found: Predictions, labels: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
        assert found.main is not None
        size = found.main.square().sum(dim=1)
        root = (size * (labels != label)).sqrt()
        return {"main": root.sum()}

    return losses


def huge(found: Predictions, labels: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
    """Have finite slopes whose squares are not, which Adam would never recover from."""
    return {"main": 1e30 * entropy(found, labels, landmarks)["main"]}


BAD_INPUT = inputs(1).index_fill(0, torch.tensor([3]), torch.inf)

STEPS: Mapping[str, tuple[Tensor, Losses, list[str]]] = {
    "loss is nan": (inputs(1), infinite_for(1, math.nan), ["odd is nan", "class '1' (1 of 1)"]),
    "loss is inf": (inputs(1), infinite_for(0, math.inf), ["odd is inf", "class '0' (2 of 2)"]),
    "slope of a class": (
        inputs(1),
        steep_for(2),
        ["gradient of 0.weight (100 % of it)", "and 3 more", "class '2' (3 of 3)"],
    ),
    "slope too long": (inputs(1), huge, ["gradient of 0.weight (of length", "and 3 more"]),
    "an image": (BAD_INPUT, entropy, ["main is nan", "class '2' (1 of 3): row 13"]),
}


@pytest.mark.parametrize("case", STEPS)
def test_a_step_that_is_not_finite_stops_before_a_weight_is_spoilt(case: str) -> None:
    images, losses, told = STEPS[case]
    learner = Learner(NumberGuard("phase1"))
    learner.step(0, inputs(0), entropy)
    before = learner.state()

    with pytest.raises(NonFiniteError) as caught:
        learner.step(1, images, losses)

    assert str(caught.value).startswith("Step 1 of phase1 diverged: ")
    for part in told:
        assert part in str(caught.value)
    statistics = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert set(differing(before, learner.state())) <= statistics


@pytest.mark.parametrize("case", STEPS)
def test_after_a_skipped_step_all_goes_on_as_if_it_had_not_been(case: str) -> None:
    images, losses, _ = STEPS[case]
    skipping = Learner(NumberGuard("phase1", SKIP))
    plain = Learner(NumberGuard("phase1"))

    terms = [
        skipping.step(0, inputs(0), entropy),
        skipping.step(1, images, losses),
        skipping.step(2, inputs(2), entropy),
    ]

    assert terms[1] is None
    assert terms[::2] == [plain.step(step, inputs(step), entropy) for step in (0, 2)]
    assert differing(plain.state(), skipping.state()) == []


def test_a_weight_that_the_rate_makes_infinite_stops_also_where_steps_are_skipped() -> None:
    learner = Learner(NumberGuard("phase1", SKIP), rate=1e38)
    for group in learner.optimizer.param_groups:
        group["lr"] = math.inf

    with pytest.raises(NonFiniteError, match=r"weight of 0\.weight \(100 % of it\)") as caught:
        learner.step(0, inputs(0), entropy)

    assert "Lower the learning rate of phase1" in str(caught.value)
    assert "nonfinite.limit" not in str(caught.value)


def test_statistics_of_batch_normalisation_that_overflow_are_weights_too() -> None:
    learner = Learner(NumberGuard("phase1"))

    with pytest.raises(NonFiniteError, match=r"weight of 1\.running_var"):
        learner.step(0, 1e25 * inputs(0), steep_for(9))


def test_slopes_that_overflow_are_the_scaler_s_affair_where_there_is_one() -> None:
    learner = Learner(NumberGuard("phase1"), scaled=True)
    before = snapshot(learner.model)

    terms = learner.step(0, inputs(0), steep_for(2))

    assert terms is not None
    assert math.isfinite(terms["main"])
    changed = differing(before, snapshot(learner.model))
    assert set(changed) == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}


def test_a_loss_that_is_not_finite_is_refused_beside_a_scaler_too() -> None:
    with pytest.raises(NonFiniteError, match="odd is nan"):
        Learner(NumberGuard("phase1"), scaled=True).step(0, inputs(0), infinite_for(1, math.nan))


def test_long_weights_that_are_finite_are_taken() -> None:
    learner = Learner(NumberGuard("phase1"))
    with torch.no_grad():
        learner.model[2].bias.fill_(3e38)  # type: ignore[operator]

    assert learner.step(0, inputs(0), entropy) is not None


@pytest.mark.parametrize("name", ["main", "auxiliary"])
def test_an_image_is_to_blame_for_its_own_prediction(name: str) -> None:
    scores: dict[str, Tensor | None] = {"main": torch.randn(6, 3), "auxiliary": torch.randn(6, 3)}
    bad = scores[name]
    assert bad is not None
    bad[4, 1] = math.nan
    found = Predictions(scores["main"], scores["auxiliary"], None)
    seen: Any = Seen(inputs(0), found, LABELS, torch.empty(6, 0, 3), LABELS, entropy, World())

    assert bad_rows(seen, [name]).tolist() == [False] * 4 + [True, False]


def test_the_diagnosis_has_the_steps_before_and_the_rates(tmp_path: Path) -> None:
    learner = Learner(NumberGuard("phase1", folder=tmp_path))
    before = [learner.step(step, inputs(step), entropy) for step in range(7)]

    with pytest.raises(NonFiniteError, match=r"diagnosis-phase1-7\.json says more"):
        learner.step(7, inputs(7), infinite_for(1, math.nan))

    found = json.loads((tmp_path / "diagnosis-phase1-7.json").read_text())
    assert found["steps_before"] == [{"step": step, **(before[step] or {})} for step in range(2, 7)]
    assert found["learning_rates"] == {"all": 0.1}
    assert (found["terms"]["odd"], found["outcome"]) == ("nan", "stopped")


def skip_together(bad: str) -> list[Any]:
    """Do three steps in one of several processes; the second is bad for the last process alone."""
    said: list[str] = []
    with joined_world(torch.device("cpu")) as world, seeded(0, "together"):
        model = nn.Linear(4, 3)
        model.register_buffer("own", torch.zeros(1))
        network: nn.Module = model
        if world.size > 1:
            network = nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)
        guard = NumberGuard("phase1", SKIP, journal=Journal(say=said.append))
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1, fused=True)
        descent = GuardedDescent(model, optimizer, scaler, guard)
        is_last = world.rank == world.size - 1
        for index in range(3):
            descent.begin_step()
            images = BAD_INPUT if (bad, index) == ("image", 1) else inputs(index)
            own = images[world.rows]
            found = Predictions(world.join(network(own), 6), None, None)
            if (bad, index) == ("buffer", 1) and is_last:
                model.get_buffer("own").fill_(math.nan)
            nothing = torch.empty(6, 0, 3)
            losses = entropy(found, LABELS, nothing)
            seen = Seen(own, found, LABELS, nothing, torch.arange(10, 16), entropy, world)
            descent.step(index, losses, seen)
        weights: list[Any] = [one.tolist() for one in model.state_dict().values()]
        return [said, weights]


@pytest.mark.parametrize("bad", ["image", "buffer"])
def test_all_processes_skip_a_step_that_is_bad_for_one(
    in_processes: Callable[..., list[Any]], bad: str
) -> None:
    (alone,) = in_processes(1, skip_together, bad)
    first, last = in_processes(2, skip_together, bad)

    assert "It is skipped, number 1 of at most 1." in alone[0][0]
    assert [len(said) for said, _ in (alone, first, last)] == [1, 1, 1]
    assert first[1] == last[1]
    for one, other in zip(alone[1], first[1], strict=True):
        torch.testing.assert_close(torch.tensor(one), torch.tensor(other))
    if bad == "image":
        assert "class '2' (1 of 3): row 13" in alone[0][0]
        assert "class '2' (1 of 3): row 13" in first[0][0]
