"""A data set's splits can be read by a worker process that starts from nothing."""

import pickle
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any

from fdmo_core.samples import Sample, Split
from fdmo_core.testing.datasets import looked_at, same_sample, splits_of
from fdmo_core.testing.expectations import expect

READ = "Split"


def check_is_read_by_a_spawned_worker(component: type[Any], config: Any) -> None:
    """A spawned process, which has nothing but the pickled splits, reads the same samples."""
    splits = splits_of(component, config).named()
    samples = {name: looked_at(split) for name, split in splits.items()}
    wanted = [(pickle.dumps(splits[name]), list(found)) for name, found in samples.items()]
    try:
        read = _worker().submit(_read, wanted, sys.path).result()
    except Exception as error:  # a stranger's code may raise anything
        _worker.cache_clear()
        raise AssertionError(
            f"In a spawned process a split raises {type(error).__name__}: {error}. Expected one "
            f"that holds all that it needs: no open file, and nothing that the module learned when "
            f"the data set was loaded. See fdmo_core.{READ}."
        ) from error
    for (name, found), others in zip(samples.items(), read, strict=True):
        differing = [
            index
            for (index, sample), other in zip(found.items(), others, strict=True)
            if not same_sample(sample, other)
        ]
        expect(
            not differing,
            f"Samples {differing} of {name} are others in a spawned process. Expected a sample to "
            f"depend on its index alone.",
            read=READ,
        )


@cache
def _worker() -> ProcessPoolExecutor:
    """Return the one worker of all data sets, which loads none of them."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _read(wanted: Sequence[tuple[bytes, Sequence[int]]], path: Sequence[str]) -> list[list[Sample]]:
    """Return samples of pickled splits; runs in the worker."""
    sys.path[:] = path
    found = []
    for pickled, indices in wanted:
        split: Split = pickle.loads(pickled)
        found.append([split[index] for index in indices])
    return found
