"""What looking at the numbers costs: each look beside the step that it is for.

``python tests/benchmarks/training_health.py [DATA]`` measures small-vgg on fashion-mnist, or on
garments, with one thread. It prints milliseconds, and shares of a step or of phase 2.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from fdmo_core.compute import Compute
from fdmo_core.config import Run, resolve_run
from fdmo_core.data import open_data
from fdmo_core.engine import check_run
from fdmo_core.faults import all_finite, floating
from fdmo_core.health import EVERY, HealthWatch
from fdmo_core.interfaces import FeatureBatch, Rebalancer
from fdmo_core.journal import Journal
from fdmo_core.network import Network
from fdmo_core.nonfinite import NonfiniteConfig, NumberGuard
from fdmo_core.phase1 import phase1_losses, start_phase1
from fdmo_core.phase1_descent import GuardedDescent
from fdmo_core.phase1_network import phase1_network
from fdmo_core.phase2 import start_phase2
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.randomness import rng_for
from fdmo_core.registry import Registry
from fdmo_core.samples import Splits
from fdmo_core.undoing import remember

CPU = torch.device("cpu")
ROUNDS = 40


def milliseconds(action: Callable[[], object]) -> float:
    """Return the median time of an action, after five that warm up."""
    times = []
    for _ in range(ROUNDS + 5):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return 1000 * median(times[5:])


def phase1(run: Run, splits: Splits, model: Network) -> dict[str, float]:
    """Return the time of a step as it was without a guard, and of each thing that one adds."""
    compute, config = Compute(CPU), run.core.phase1
    state = start_phase1(model, config, compute)
    model.train()
    network = phase1_network(model, compute, is_shape_only=False)
    images = torch.rand(config.batch_size, 3, run.image_size, run.image_size)
    labels = torch.arange(config.batch_size) % model.num_classes
    landmarks = torch.zeros(config.batch_size, len(splits.landmark_names), 3)
    prior = torch.zeros(model.num_classes)

    def step() -> list[float]:
        found = network(model.prefix(images))
        losses = phase1_losses(
            found, labels, landmarks, model.landmark_head, config, log_prior=prior
        )
        total = torch.stack(list(losses.values())).sum()
        state.optimizer.zero_grad(set_to_none=True)
        total.backward()
        state.optimizer.step()
        numbers: list[float] = torch.stack([total, *losses.values()]).tolist()
        return numbers

    skipping = NumberGuard("phase1", NonfiniteConfig(action="skip"))
    descent = GuardedDescent(*state, skipping)
    return {
        "step": milliseconds(step),
        "look": milliseconds(lambda: looked_at(model)),
        "snapshot for skip": milliseconds(descent.begin_step),
    }


def looked_at(model: Network) -> list[float]:
    """Look at all that phase 1 looks at: gradients and statistics, then weights."""
    parameters = [one for one in model.parameters() if one.requires_grad]
    slopes = [one.grad for one in parameters if one.grad is not None]
    buffers = list(floating(dict(model.named_buffers())).values())
    with torch.no_grad():
        return [float(all_finite(slopes, buffers)), float(all_finite(parameters))]


def phase2(run: Run, splits: Splits, model: Network) -> dict[str, float]:
    """Return the time of a step, of the look at its numbers, and of a look at its health."""
    counts = torch.from_numpy(splits.counts("train"))
    labels = torch.arange(len(counts)).repeat_interleave(counts.clamp(max=500))
    features = torch.randn(len(labels), sum(model.stream_dims), generator=rng_for(0)).relu()
    dictionary = run.dictionary.component(
        run.dictionary.config, num_classes=len(counts), stream_dims=model.stream_dims, seed=0
    )
    dictionary.build([FeatureBatch(features, labels, torch.arange(len(labels)))])
    rebalancer = start_phase2(
        run,
        classifier=model.main_classifier,
        dictionary=dictionary,
        class_counts=counts,
        held_out=lambda source: sys.exit(source),
        device=CPU,
    )

    def watch() -> HealthWatch:
        return HealthWatch(
            rebalancer, dictionary, class_names=splits.class_names, seed=0, journal=Journal()
        )

    health = watch()
    return {
        "steps": rebalancer.num_steps,
        "step": milliseconds(next_step(rebalancer)),
        "look": milliseconds(lambda: float(all_finite(held(rebalancer)))),
        "snapshot for skip": milliseconds(lambda: remember(rebalancer, rebalancer.optimizers())),
        "health": milliseconds(lambda: health.after_step(EVERY)),
        "health at the start": milliseconds(watch),
        "health at the end": milliseconds(health.finish),
    }


def held(rebalancer: Rebalancer) -> list[Tensor]:
    """Return what phase 2 looks at after each step."""
    return list(floating(rebalancer.state_dict()).values())


def next_step(rebalancer: Rebalancer) -> Callable[[], object]:
    """Return what does the next step each time."""
    steps = iter(range(sys.maxsize))

    def do() -> object:
        index = next(steps)
        return rebalancer.step(index % rebalancer.num_steps, rng_for(0, index))

    return do


def main(data: dict[str, Any]) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    run = resolve_run({"data": data}, Registry(load_plugins()))
    splits = open_data(run)
    model = check_run(run, splits)
    first, second = phase1(run, splits, model), phase2(run, splits, model)
    in_all = second["health"] * math.floor(second["steps"] / EVERY)
    in_all += second["health at the start"] + second["health at the end"]
    shares = {
        "phase1 look": first["look"] / first["step"],
        "phase1 snapshot": first["snapshot for skip"] / first["step"],
        "phase2 look": second["look"] / second["step"],
        "phase2 snapshot": second["snapshot for skip"] / second["step"],
        "phase2 health": in_all / (second["step"] * second["steps"]),
    }
    print(json.dumps({"phase1": first, "phase2": second, "shares": shares}, indent=2))


if __name__ == "__main__":
    main({"name": sys.argv[1] if len(sys.argv) > 1 else "garments"})
