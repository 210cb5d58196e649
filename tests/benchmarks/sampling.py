"""smote-rate, smote-memory and sampling-rate: artificial rows, against imbalanced-learn's SMOTE.

9,220 rows of 4,096 features in ten classes lack 30,780. Both SMOTEs look at five neighbours, and
the search is part of the time. On our side the rows are a stream, fit and iter_batches, on the
other fit_resample, which is all there is. The lines -at-once have our fit_resample in place of the
stream; its result alone is 625 MiB on both sides. Memory is what a process of its own needs beyond
the rows given. sampling-rate is the stream of a convexgan that was trained for one step, its
training left out, beside SMOTE.
"""

import json
import sys
from collections.abc import Callable
from functools import partial

import numpy as np
from imblearn.over_sampling import SMOTE
from measure import Benchmark, extra_mebibytes, in_own_process, seconds_in_turn
from numpy.typing import NDArray

from fdmo_core.sampling import ConvexSampler

COUNTS = (4000, 2000, 1000, 750, 500, 350, 300, 160, 100, 60)
NUM_FEATURES, NUM_ARTIFICIAL, NEIGHBOURS, BATCH, ROUNDS = 4096, 30_780, 5, 1024, 3

Rows = tuple[NDArray[np.float32], NDArray[np.int64]]


def make_rows(num_features: int = NUM_FEATURES) -> Rows:
    """Return normal features and labels, in the order of the classes."""
    labels = np.repeat(np.arange(len(COUNTS)), COUNTS)
    rng = np.random.default_rng(0)
    return rng.standard_normal((len(labels), num_features), dtype=np.float32), labels


def imbalanced_learn(rows: Rows) -> None:
    """Make all rows by imbalanced-learn."""
    SMOTE(k_neighbors=NEIGHBOURS, random_state=0).fit_resample(*rows)


def smote() -> ConvexSampler:
    """Return our sampler, as far as it goes without data."""
    return ConvexSampler(
        generator="smote", generator_options={"neighbors": NEIGHBOURS}, random_state=0
    )


def resample(rows: Rows) -> None:
    """Make all rows at once."""
    smote().fit_resample(*rows)


def stream(rows: Rows) -> None:
    """Make all rows, a batch at a time."""
    drain(smote().fit(*rows))


def drain(sampler: ConvexSampler) -> None:
    """Take all batches of a fitted sampler."""
    for _ in sampler.iter_batches(BATCH):
        pass


FORMS: dict[str, Callable[[Rows], None]] = {
    "stream": stream,
    "resample": resample,
    "imbalanced-learn": imbalanced_learn,
}


def extra_memory(form: str) -> float:
    """Return the MiB that a form needs beyond the rows that are given."""
    action = FORMS[form]
    action(make_rows(num_features=2))  # loads what is loaded once
    return extra_mebibytes(partial(action, make_rows()))


def rates(rows: Rows, **ours: Callable[[], None]) -> list[Benchmark]:
    """Return a line for each way of ours, beside imbalanced-learn's SMOTE."""
    lines = []
    for name, action in ours.items():
        times = seconds_in_turn(action, partial(imbalanced_learn, rows), rounds=ROUNDS)
        seconds = [one / NUM_ARTIFICIAL for one in times]
        lines.append(Benchmark(name.replace("_", "-"), seconds[0], seconds[1], "seconds a row"))
    return lines


def benchmarks() -> list[Benchmark]:
    """Return all lines."""
    rows = make_rows()
    convexgan = ConvexSampler(batch_size=len(rows[1]), epochs=1, random_state=0).fit(*rows)
    assert convexgan.n_steps_ == 1
    memory = {form: in_own_process(__file__, form) for form in FORMS}
    baseline, unit = memory["imbalanced-learn"], "MiB beyond the rows given"
    result = (NUM_ARTIFICIAL + len(rows[1])) * NUM_FEATURES * 4 / 2**20
    return [
        *rates(
            rows,
            smote_rate=partial(stream, rows),
            smote_rate_at_once=partial(resample, rows),
            sampling_rate=partial(drain, convexgan),
        ),
        Benchmark("smote-memory", memory["stream"], baseline, unit),
        Benchmark(
            "smote-memory-at-once", memory["resample"], baseline, unit, limit=baseline / result
        ),
    ]


if __name__ == "__main__":
    print(json.dumps(extra_memory(sys.argv[1])))
