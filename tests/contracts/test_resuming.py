"""k steps, a checkpoint and k more are 2k steps, bit for bit, with one and with two processes.

For every registered generator, loss and rebalancer, and for what phase 1 can be set to. All cases
share one start of the processes.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fdmo_core.checkpoint import Position
from fdmo_core.classifier import LinearClassifier
from fdmo_core.compute import Compute
from fdmo_core.config import Run, resolve_run
from fdmo_core.data import open_data
from fdmo_core.engine import check_run
from fdmo_core.interfaces import HeldOut, HeldOutSource
from fdmo_core.journal import Journal
from fdmo_core.kinds import KINDS
from fdmo_core.map_building import open_maps
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.phase1 import start_phase1, train_phase1
from fdmo_core.phase2 import start_phase2, train_phase2
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.randomness import seeded
from fdmo_core.recorder import Recorder
from fdmo_core.registry import Registry
from fdmo_core.testing.expectations import differing, snapshot
from fdmo_core.testing.toys import STREAM_DIMS, toy_dictionary, toy_held_out
from fdmo_core.world import World, joined_world

InProcesses = Callable[..., list[Any]]
Optimizers = Mapping[str, torch.optim.Optimizer]
SIZES = (30, 8, 3, 0)  # images of each class of the toy features
CONTENT: dict[str, Any] = {
    "data": {
        "name": "garments",
        "largest_class": 6,
        "imbalance_ratio": 3,
        "val_per_class": 1,
        "test_per_class": 1,
        "image_size": 24,
    },
    "texture_stream": {"name": "small-vgg", "channels": [4, 8], "freeze_stages": 1},
    "shape_stream": {"name": "small-vgg", "channels": [4, 8], "freeze_stages": 1},
    "phase1": {"shape_epochs": 1, "epochs": 1, "batch_size": 11},
}
PHASE1: dict[str, dict[str, dict[str, Any]]] = {
    "as it is": {},
    "no augmentation": {
        "augmentation": dict.fromkeys(("rotation", "zoom", "shift", "brightness", "contrast"), 0.0)
        | {"mirror": False}
    },
    "fp16": {"compute": {"precision": "fp16"}},
    "bf16": {"compute": {"precision": "bf16"}},
    "pull": {"phase1": {"pull": 0.6}},
    "balanced": {"phase1": {"sampling": "balanced", "prior_strength": 1.0}},
    "constant": {"phase1": {"schedule": "constant"}},
    "cached views": {"cache": {"views": 2}},
}
SMALL = {"hidden": [8, 8], "discriminator_hidden": [8, 8], "noise_dim": 4}
OPTIONS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("convexgan", "gamo"), SMALL),
    "attention": {**SMALL, "sketch_dim": 4, "key_dim": 4},
    "ldam": {"drw_start": 0.5},
    "adversarial": {"epochs": 2, "batch_size": 16, "samples_per_class": 5},
    "crt": {"epochs": 2, "batch_size": 16},
    "lws": {"epochs": 2, "batch_size": 16},
}


class HalfDoneError(Exception):
    """The first k steps are done."""


def components(kind: str) -> list[str]:
    (wanted,) = (one for one in KINDS if one.name == kind)
    return [one.name for one in Registry(load_plugins()).components(wanted)]


def section(name: str) -> dict[str, Any]:
    return {"name": name, **OPTIONS.get(name, {})}


def phase2_cases() -> dict[str, dict[str, Any]]:
    """Return the sections of a run for each component; losses are learned by in two ways."""
    usual = {"rebalancer": section("adversarial"), "generator": section("convexgan")}
    cases = {f"generator {name}": {"generator": section(name)} for name in components("generator")}
    cases |= {f"loss {name}": {"loss": section(name)} for name in components("loss")}
    cases |= {
        f"loss {name} with crt": {"loss": section(name), "rebalancer": section("crt")}
        for name in components("loss")
    }
    cases |= {
        f"rebalancer {name}": {"rebalancer": section(name)} for name in components("rebalancer")
    }
    return {name: usual | one for name, one in cases.items()}


def recorded(
    run: Run,
    folder: Path,
    world: World,
    begin: Callable[[], tuple[nn.Module, Optimizers, Any]],
    go_on: Callable[[Any, int, Callable[[Position], None]], None],
    stop_at: int,
) -> tuple[dict[str, Tensor], int]:
    """Train to step ``stop_at``, or to the end, from the checkpoint that is there."""
    compute = Compute(torch.device("cpu"), run.core.compute, world)
    splits: Any = None  # it names what is written at the begin and at the end of a run
    recorder = Recorder(folder, run, splits, compute)
    module, optimizers, state = begin()
    scaler = getattr(state, "scaler", None)
    first = recorder.restore("phase", module, optimizers, scaler, journal=Journal())

    def after_step(position: Position) -> None:
        if position.done == stop_at:
            recorder.after_step("phase", position, module, optimizers, scaler)
            raise HalfDoneError

    try:
        go_on(state, first, after_step)
    except HalfDoneError:
        world.wait()
    found = dict(snapshot(module))
    for name, optimizer in optimizers.items():
        for index, entries in optimizer.state_dict()["state"].items():
            found |= {
                f"{name}.{index}.{key}": torch.as_tensor(one).clone()
                for key, one in entries.items()
            }
    return found, first


def differences(total: int, trained: Callable[[Path, int], Any], folder: Path) -> dict[str, Any]:
    """Return where an uninterrupted training and one that was stopped half way differ."""
    half = total // 2
    (folder / "whole" / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "parts" / "checkpoints").mkdir(parents=True, exist_ok=True)
    whole, _ = trained(folder / "whole", 0)
    stopped, _ = trained(folder / "parts", half)
    resumed, first = trained(folder / "parts", 0)
    return {
        "half": half,
        "taken up at": first,
        "moved": len(differing(stopped, whole)),
        "lost": differing(whole, resumed),
    }


def phase2_of(run: Run, folder: Path, world: World) -> dict[str, Any]:
    with seeded(0, "classifier"):
        classifier = LinearClassifier(sum(STREAM_DIMS), len(SIZES))

    def held_out(source: HeldOutSource) -> HeldOut:
        return toy_held_out(SIZES, classifier, source)

    def begin() -> tuple[nn.Module, Optimizers, Any]:
        rebalancer = start_phase2(
            run,
            classifier=classifier,
            dictionary=toy_dictionary(SIZES),
            class_counts=torch.tensor(SIZES),
            held_out=held_out,
            device=torch.device("cpu"),
        )
        return rebalancer, rebalancer.optimizers(), rebalancer

    def go_on(rebalancer: Any, first: int, after_step: Callable[[Position], None]) -> None:
        train_phase2(rebalancer, seed=0, journal=Journal(), first_step=first, after_step=after_step)

    total = begin()[0].num_steps
    return differences(
        int(total),  # type: ignore[arg-type]
        lambda own, stop_at: recorded(run, own, world, begin, go_on, stop_at),
        folder,
    )


def phase1_of(run: Run, folder: Path, world: World) -> dict[str, Any]:
    splits, compute = open_data(run), Compute(torch.device("cpu"), run.core.compute, world)

    def begin() -> tuple[nn.Module, Optimizers, Any]:
        model = check_run(run, splits)
        assert isinstance(model, TwoStreamClassifier)
        model.shape_extractor.load_state_dict(model.texture_extractor.state_dict())
        model.share_prefix()  # as with weights that are one file for both
        state = start_phase1(model, run.core.phase1, compute)
        return model, {"all": state.optimizer}, state

    def go_on(state: Any, first: int, after_step: Callable[[Position], None]) -> None:
        maps = open_maps(run, splits, state.model, compute=compute, journal=Journal())
        train_phase1(
            state,
            maps["train"],
            run.core.phase1,
            seed=0,
            compute=compute,
            journal=Journal(),
            first_step=first,
            after_step=after_step,
        )

    steps = 2 * -(-len(splits.train.labels) // run.core.phase1.batch_size)
    return differences(
        steps + 1,  # the half of which is within an epoch
        lambda own, stop_at: recorded(run, own, world, begin, go_on, stop_at),
        folder,
    )


def resume_all(folder: str) -> dict[str, dict[str, Any]]:
    """Do all cases in this process, with the others that there are."""
    registry, found = Registry(load_plugins()), dict[str, dict[str, Any]]()
    usual = {**CONTENT, "seed": 0, "checkpoint": {"steps": 1}}
    with joined_world(torch.device("cpu")) as world:
        for number, (name, sections) in enumerate(phase2_cases().items()):
            run = resolve_run({**usual, **sections}, registry)
            found[name] = phase2_of(run, Path(folder, f"{number}"), world)
        for name, sections in PHASE1.items():
            cache = {"folder": str(Path(folder, "cache"))}
            content = {**usual, "cache": cache}
            for key, part in sections.items():
                content[key] = {**content.get(key, {}), **part}
            run = resolve_run(content, registry)
            found[f"phase 1 {name}"] = phase1_of(run, Path(folder, name), world)
    return found


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two processes"])
def resumed(
    request: pytest.FixtureRequest,
    in_processes: InProcesses,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[dict[str, dict[str, Any]]]:
    """What each process found of each case."""
    folder = tmp_path_factory.mktemp("resumed")
    return in_processes(request.param, resume_all, str(folder), seconds=120)


@pytest.mark.parametrize("case", [*phase2_cases(), *(f"phase 1 {name}" for name in PHASE1)])
def test_k_steps_and_k_more_are_2k_steps_bit_for_bit(
    resumed: list[dict[str, dict[str, Any]]], case: str
) -> None:
    for found in resumed:
        one = found[case]
        assert one["lost"] == []
        assert one["taken up at"] == one["half"]
        if one["half"]:  # some rebalancers take no step
            assert one["moved"] > 0
