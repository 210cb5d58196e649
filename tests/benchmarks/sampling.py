"""smote-rate, smote-memory and sampling-rate: artificial rows, against imbalanced-learn's SMOTE.

9,220 rows of 4,096 features in ten classes become 40,000. Both SMOTEs look at five neighbours.
smote-rate is fit_resample on both sides, search included. smote-memory is what a process of its
own needs beyond the rows that are given: on our side the stream of iter_batches; a line of its own,
smote-memory-at-once, is fit_resample, whose result alone is 625 MiB on both sides. sampling-rate
is the stream of a convexgan that was trained for a step, without its training, beside SMOTE.
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
NUM_FEATURES, NUM_ARTIFICIAL, NEIGHBOURS, BATCH = 4096, 30_780, 5, 1024

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


def benchmarks() -> list[Benchmark]:
    """Return all lines."""
    rows = make_rows()
    at_once = seconds_in_turn(partial(resample, rows), partial(imbalanced_learn, rows), rounds=1)
    convexgan = ConvexSampler(batch_size=len(rows[1]), epochs=1, random_state=0).fit(*rows)
    assert convexgan.n_steps_ == 1
    streamed = seconds_in_turn(
        partial(drain, convexgan), partial(imbalanced_learn, rows), rounds=1
    )
    memory = {form: in_own_process(__file__, form) for form in FORMS}
    baseline = memory["imbalanced-learn"]
    unit = "MiB beyond the rows given"
    result = NUM_ARTIFICIAL + len(rows[1])
    return [
        Benchmark("smote-rate", *(one / NUM_ARTIFICIAL for one in at_once), "seconds a row"),
        Benchmark("smote-memory", memory["stream"], baseline, unit),
        Benchmark(
            "smote-memory-at-once",
            memory["resample"],
            baseline,
            unit,
            limit=baseline / (result * NUM_FEATURES * 4 / 2**20),
        ),
        Benchmark("sampling-rate", *(one / NUM_ARTIFICIAL for one in streamed), "seconds a row"),
    ]


if __name__ == "__main__":
    print(json.dumps(extra_memory(sys.argv[1])))
