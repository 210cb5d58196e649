"""per-feature-time and per-feature-memory: Table 1 taken literally, in chunks against at once.

What is measured is what a step of Algorithm 1 asks of the generator: once without gradients for
classifier and discriminator, once with gradients for itself. Sizes fit a small machine: a stream
of 512, joined 1024, N_s = 50; the last layer has 52 million weights.
"""

import json
import sys
from collections.abc import Callable
from functools import partial

import torch
from measure import Benchmark, extra_mebibytes, in_own_process, seconds_in_turn
from torch import Tensor, nn

from fdmo_core import DrawnFeatures
from fdmo_core.randomness import rng_for, seeded
from fdmo_plugins.convexgan.per_feature import per_feature_combination, per_feature_weights

BATCH, HIDDEN, LENGTH, SAMPLES_PER_CLASS, NUM_CLASSES, CHUNK = 256, 1024, 1024, 50, 50, 16

Combine = Callable[[Tensor, nn.Linear, DrawnFeatures], Tensor]


def at_once(hidden: Tensor, last: nn.Linear, drawn: DrawnFeatures) -> Tensor:
    """Return the combination as one would write it down first."""
    weights = per_feature_weights(hidden, last, drawn)  # (B, F, S)
    values = drawn.store[drawn.rows[drawn.groups]]  # (B, S, F)
    return torch.einsum("bfs,bsf->bf", weights, values)


FORMS: dict[str, Combine] = {
    "chunked": partial(per_feature_combination, chunk_size=CHUNK),
    "at-once": at_once,
}


def make_round(combine: Combine, *, is_frozen: bool = False) -> Callable[[], None]:
    """Return what one step asks of the generator."""
    rng = rng_for(0, "benchmark")
    store = torch.rand(NUM_CLASSES * SAMPLES_PER_CLASS, LENGTH, generator=rng)
    rows = torch.arange(len(store)).view(NUM_CLASSES, SAMPLES_PER_CLASS)
    groups = torch.randint(NUM_CLASSES, (BATCH,), generator=rng)
    drawn = DrawnFeatures(store, rows, torch.ones_like(rows, dtype=torch.bool), groups)
    hidden = torch.rand(BATCH, HIDDEN, generator=rng, requires_grad=True)
    with seeded(0, "benchmark"):
        last = nn.Linear(HIDDEN, LENGTH * SAMPLES_PER_CLASS).requires_grad_(not is_frozen)

    def work() -> None:
        with torch.no_grad():
            combine(hidden, last, drawn)
        last.zero_grad()
        combine(hidden, last, drawn).square().mean().backward()

    return work


def extra_memory(form: str) -> float:
    """Return the MiB needed beyond the weights and their gradient.

    The weights are frozen here: their gradient, which both forms need alike and which is larger
    than all else at the paper's widths, would hide what is compared.
    """
    work = make_round(FORMS[form], is_frozen=True)
    work()
    return extra_mebibytes(work)


def benchmarks() -> list[Benchmark]:
    """Return both lines; in time the limit counts the products that backward repeats."""
    ours, baseline = (make_round(one) for one in FORMS.values())
    times = seconds_in_turn(ours, baseline, rounds=3)
    memory = [in_own_process(__file__, form) for form in FORMS]
    return [
        Benchmark("per-feature-time", times[0], times[1], "seconds a step", limit=4 / 5),
        Benchmark(
            "per-feature-memory", memory[0], memory[1], "MiB beyond weights and their gradient"
        ),
    ]


if __name__ == "__main__":
    print(json.dumps(extra_memory(sys.argv[1])))
