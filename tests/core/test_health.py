"""The health of phase 2: figures of a rebalancer's artificial features, and alarms."""

import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fdmo_core.classifier import LinearClassifier
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.engine import check_run, train
from fdmo_core.health import AT_END, EVERY, HealthWatch
from fdmo_core.interfaces import ArtificialFeatures, FeatureGenerator, LabelledFeatures, Rebalancer
from fdmo_core.journal import Journal, Progress
from fdmo_core.mixing import mixing, moment_gaps
from fdmo_core.phase2 import start_phase2, train_phase2
from fdmo_core.randomness import rng_for, seeded
from fdmo_core.recorder import Recorder
from fdmo_core.registry import Registry
from fdmo_core.run_folder import create_run_folder
from fdmo_core.samples import Splits
from fdmo_core.stopping import Interrupted, StopRequest
from fdmo_core.testing.expectations import differing, snapshot
from fdmo_core.testing.toys import STREAM_DIMS, ToyDictionary, toy_dictionary

MakeRun = Callable[..., Run]
SIZES = (40, 12, 4, 1)
NAMES = ("ant", "bee", "cat", "dog")
CPU = torch.device("cpu")


@pytest.fixture
def dictionary() -> ToyDictionary:
    return toy_dictionary(SIZES)


@pytest.fixture
def start(
    tiny_run: MakeRun, registry: Registry, dictionary: ToyDictionary
) -> Callable[..., Rebalancer]:
    """A function that returns the rebalancer of a tiny run before its first step."""

    def begin(generator: str = "convexgan", **sections: dict[str, Any]) -> Rebalancer:
        sections = {"rebalancer": {"epochs": 8, "samples_per_class": 6}} | sections
        run = tiny_run(**sections)
        if generator != "convexgan":
            named = registry.resolve(FeatureGenerator, {"name": generator})  # type: ignore[type-abstract]
            run = replace(run, generator=named)
        with seeded(0, "head"):
            head = LinearClassifier(sum(STREAM_DIMS), 4)
        return start_phase2(
            run,
            classifier=head,
            dictionary=dictionary,
            class_counts=torch.tensor(SIZES),
            held_out=lambda source: pytest.fail(source),
            device=CPU,
        )

    return begin


def watch(rebalancer: Rebalancer, dictionary: ToyDictionary, **options: Any) -> HealthWatch:
    defaults: dict[str, Any] = {"class_names": NAMES, "seed": 0, "journal": Journal()}
    return HealthWatch(rebalancer, dictionary, **(defaults | options))


def trained(
    rebalancer: Rebalancer, dictionary: ToyDictionary, **options: Any
) -> tuple[dict[str, Any], list[str]]:
    """Return figures and notices of the end of phase 2."""
    said: list[str] = []
    health = watch(rebalancer, dictionary, journal=Journal(say=said.append), **options)
    train_phase2(
        rebalancer,
        seed=0,
        journal=Journal(),
        after_step=lambda position: health.after_step(position.done),
    )
    found = health.finish()
    assert found is not None
    return found, said


@pytest.mark.parametrize("name", ["convexgan", "attention", "gamo"])
def test_a_healthy_generator_raises_no_alarm(
    start: Callable[..., Rebalancer], dictionary: ToyDictionary, name: str
) -> None:
    found, said = trained(start(name), dictionary)

    assert found["alarms"] == []
    (line,) = said
    assert line.startswith("Artificial features: ")
    smallest = found["smallest_classes"]
    assert 0.5 < smallest["weight_entropy"] <= 1
    assert smallest["weights_moved"] > 0
    assert {"discriminator_on_real", "discriminator_on_artificial"} <= smallest.keys()


def all_on_one(made: ArtificialFeatures) -> ArtificialFeatures:
    assert made.weights is not None
    assert made.rows is not None
    weights = torch.zeros_like(made.weights)
    weights[..., 0] = 1
    return made._replace(weights=weights)


def test_a_generator_that_puts_all_weight_on_one_source_is_an_alarm(
    start: Callable[..., Rebalancer],
    dictionary: ToyDictionary,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rebalancer = start()
    whole = type(rebalancer).make_artificial
    calls: list[int] = []

    def collapsing(self: Any, labels: Tensor, rng: torch.Generator) -> ArtificialFeatures | None:
        calls.append(1)
        made = whole(self, labels, rng)
        assert made is not None
        return made if len(calls) == 1 else all_on_one(made)

    monkeypatch.setattr(type(rebalancer), "make_artificial", collapsing)

    found, said = trained(rebalancer, dictionary)

    (alarm,) = found["alarms"]
    assert alarm.startswith(
        "the generator puts all weight on one source in 3 of 3 classes, 'cat', 'bee', 'ant': its "
        "features are copies."
    )
    assert said[1:] == [f"Alarm: {alarm}"]
    assert found["smallest_classes"]["effective_sources"] == pytest.approx(1)
    assert found["smallest_classes"]["weight_entropy"] == pytest.approx(0)


def test_a_generator_that_never_moves_is_an_alarm(
    start: Callable[..., Rebalancer],
    dictionary: ToyDictionary,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rebalancer = start()
    monkeypatch.setattr(rebalancer.get_submodule("generator"), "update", lambda game: {})

    found, said = trained(rebalancer, dictionary)

    assert found["smallest_classes"]["weights_moved"] == 0
    (alarm,) = found["alarms"]
    assert alarm.startswith("the generator's weights are those of the start: it learned nothing.")
    assert said[-1] == f"Alarm: {alarm}"


@pytest.mark.parametrize(
    "name", ["adasyn", "borderline-smote", "dirichlet", "m2m", "mean", "random", "smote"]
)
def test_a_generator_that_learns_nothing_cannot_collapse(
    start: Callable[..., Rebalancer], dictionary: ToyDictionary, name: str
) -> None:
    found, _ = trained(start(name), dictionary)

    assert found["alarms"] == []
    assert "discriminator_on_real" not in found["smallest_classes"]


def test_nothing_is_told_of_a_rebalancer_without_artificial_features(
    start: Callable[..., Rebalancer], dictionary: ToyDictionary
) -> None:
    said: list[str] = []

    health = watch(
        start(rebalancer={"artificial": False}), dictionary, journal=Journal(say=said.append)
    )

    health.after_step(EVERY)
    assert health.finish() is None
    assert said == []


def test_the_figures_of_a_class_are_of_what_the_rebalancer_makes_of_it(
    start: Callable[..., Rebalancer], dictionary: ToyDictionary
) -> None:
    rebalancer = start()

    found, _ = trained(rebalancer, dictionary)

    order = torch.tensor([3, 2, 1, 0])  # the smallest first
    labels = order.repeat_interleave(AT_END)
    made = rebalancer.make_artificial(labels, rng_for(0, "health", "end", 0))
    assert made is not None
    real, of = dictionary.store
    assert list(found["classes"]) == ["dog", "cat", "bee", "ant"]
    for label in (1, 2):
        own = found["classes"][NAMES[label]]
        chosen = labels == label
        gaps = moment_gaps(real[of == label], made.features[chosen])
        assert (own["mean_gap"], own["deviation_gap"]) == gaps
        mixed = mixing(made, torch.tensor(SIZES)[labels])
        assert own["effective_sources"] == pytest.approx(mixed.sources[chosen].mean().item())
        assert own["dictionary_rows"] == SIZES[label]
    assert found["classes"]["dog"]["mean_gap"] is None
    assert found["classes"]["dog"]["effective_sources"] is None


class Scores(nn.Module):
    """Takes features for real whose first number is positive."""

    def looks_real(self, features: LabelledFeatures) -> Tensor:
        return features.features[:, 0] > 0


def test_the_discriminator_is_right_as_often_as_a_plain_count_says(
    start: Callable[..., Rebalancer], dictionary: ToyDictionary, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebalancer = start()
    monkeypatch.setattr(rebalancer.get_submodule("generator"), "discriminator", Scores())

    found = watch(rebalancer, dictionary).finish()

    probe = torch.tensor([2, 1, 0]).repeat_interleave(8)
    real = dictionary.sample(probe, rng_for(0, "health", "real"))
    made = rebalancer.make_artificial(probe, rng_for(0, "health", "probe"))
    assert made is not None
    right = [sum(one > 0 for one in real[:, 0].tolist()) / 24]
    right.append(sum(not one > 0 for one in made.features[:, 0].tolist()) / 24)
    assert found is not None
    smallest = found["smallest_classes"]
    told = [smallest["discriminator_on_real"], smallest["discriminator_on_artificial"]]
    assert told == pytest.approx(right)


def test_looking_changes_no_bit_of_the_run(
    start: Callable[..., Rebalancer], dictionary: ToyDictionary
) -> None:
    plain, watched = start(), start()
    watched.train()
    before = torch.get_rng_state()

    health = watch(watched, dictionary)
    for step in range(1, 4):
        health.after_step(step * EVERY)
    health.finish()

    assert torch.equal(torch.get_rng_state(), before)
    assert differing(snapshot(plain), snapshot(watched)) == []
    assert all(one.training for one in watched.modules())
    assert all(one.grad is None for one in watched.parameters())


def lines(folder: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_run_writes_figures_into_its_log_and_its_folder(
    tiny_run: MakeRun,
    tiny_splits: Splits,
    train_into: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    run = tiny_run(rebalancer={"epochs": 20}, phase1={"shape_epochs": 0})

    train_into(tmp_path / "run", run, tiny_splits)

    found = json.loads((tmp_path / "run" / "health.json").read_text())
    assert found["alarms"] == []
    assert len(found["classes"]) == 12
    told = [line["health"] for line in lines(tmp_path / "run") if "health" in line]
    assert [one["step"] for one in told] == [50]
    assert told[0].keys() == {"step", *found["smallest_classes"]}
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert "health.json" in manifest["files"]


def test_a_run_that_goes_on_ends_with_the_same_figures(
    tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    run = tiny_run(rebalancer={"epochs": 24}, phase1={"shape_epochs": 0})
    compute = Compute(CPU, run.core.compute)

    def go(folder: Path, stop: StopRequest, show: Callable[[Progress], None]) -> None:
        recorder = Recorder(folder, run, tiny_splits, compute, stop)
        recorder.begin("fdmo train")
        with Journal(folder / "log.jsonl", show=show) as journal:
            model = check_run(run, tiny_splits)
            train(run, tiny_splits, model, recorder, compute=compute, journal=journal)

    stop = StopRequest()

    def stop_in_phase2(progress: Progress) -> None:
        if progress.phase == "phase2" and progress.done == 60:
            stop.signal = signal.SIGTERM

    whole, parts = (create_run_folder(tmp_path / name, data="x") for name in ("whole", "parts"))
    go(whole, StopRequest(), lambda _: None)
    with pytest.raises(Interrupted):
        go(parts, stop, stop_in_phase2)
    go(parts, StopRequest(), lambda _: None)

    assert (whole / "health.json").read_bytes() == (parts / "health.json").read_bytes()
    told = [[line["health"] for line in lines(one) if "health" in line] for one in (whole, parts)]
    assert told[0] == told[1]
    assert [one["step"] for one in told[0]] == [50]
