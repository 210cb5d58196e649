"""Runs many jobs in worker processes; one that fails does not keep the others from their turn."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from fdmo_cli.comparison.workers import MakeWorkers, Workers
from fdmo_core.errors import FdmoError

KILLED = (
    "The worker process was killed. Expected it to end by itself. See whether the machine ran out "
    "of memory, use fewer --jobs, and start again."
)


def run_jobs(
    function: Callable[[Any], object],
    jobs: Mapping[str, Any],
    workers: Workers,
    make_workers: MakeWorkers,
    *,
    done: Callable[[str], None],
) -> dict[str, str]:
    """Call a function on each job, and return why some failed, by name.

    A worker that is killed, for instance for want of memory, takes the others of its pool with it.
    What they had begun is done again, each job in workers of its own, so that the one to blame is
    known.

    Args:
        function: Of the top level of a module.
        jobs: By name.
        workers: Where.
        make_workers: Starts others in place of those that were taken.
        done: Told each job that has come to its end.
    """
    failures, taken = _run(function, jobs, workers, done)
    for name in taken:
        with make_workers() as others:
            again, killed = _run(function, {name: jobs[name]}, others, done)
        failures |= again | dict.fromkeys(killed, KILLED)
    return failures


def _run(
    function: Callable[[Any], object],
    jobs: Mapping[str, Any],
    workers: Workers,
    done: Callable[[str], None],
) -> tuple[dict[str, str], list[str]]:
    """Return why jobs failed, and which ones were taken along by a worker that was killed."""
    failures: dict[str, str] = {}
    taken: list[str] = []
    futures: dict[Future[Any], str] = {}
    for name, job in jobs.items():
        try:
            futures[workers.submit(function, job)] = name
        except BrokenProcessPool:
            taken.append(name)
    for future in as_completed(futures):
        name, error = futures[future], future.exception()
        if isinstance(error, BrokenProcessPool):
            taken.append(name)
            continue
        if error is not None:
            failures[name] = _reason(error)
        done(name)
    return failures, taken


def _reason(error: BaseException) -> str:
    """Return an expected error's text; of any other one its kind and where it came from as well."""
    original = getattr(error, "cause", error)  # Ray wraps it
    if isinstance(original, FdmoError):
        return str(original)
    cause = f"\n{error.__cause__}" if error.__cause__ is not None else ""
    return f"{type(error).__name__}: {error}{cause}"
