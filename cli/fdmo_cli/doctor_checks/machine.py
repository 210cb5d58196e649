"""Space and processors: is there room to work in?"""

import os
import shutil
from pathlib import Path

from fdmo_cli.doctor_checks.finding import OK, PROBLEM, WARNING, Finding

GIB = 2**30
LITTLE, TOO_LITTLE = 5 * GIB, 1 * GIB  # a run's checkpoints and caches; a single large file


def check_space(folder: Path) -> Finding:
    """Look at the free space of a folder, and whether it can be written to."""
    free = shutil.disk_usage(folder).free
    found = f"{free / GIB:.1f} GiB free at {folder}"
    if not os.access(folder, os.W_OK):
        return Finding(
            PROBLEM, f"{found}, but it cannot be written to", "Work in a folder of your own."
        )
    if free < LITTLE:
        status = PROBLEM if free < TOO_LITTLE else WARNING
        return Finding(status, found, "Free some space, or work in another folder.")
    return Finding(OK, found)


def check_threads() -> Finding:
    """Compare the processors of the machine with those that this process may use."""
    from fdmo_export.threads import available_threads

    usable, present = available_threads(), os.cpu_count() or 1
    found = f"{usable} of {present} processors may be used"
    asked = os.environ.get("OMP_NUM_THREADS")
    if asked is not None:
        found += f"; OMP_NUM_THREADS={asked}"
    started = _threads_of_torch(asked, present)
    if started > usable:
        return Finding(
            WARNING,
            f"{found}; PyTorch starts {started} threads, which wait for each other",
            f"Set OMP_NUM_THREADS={usable}.",
        )
    return Finding(OK, found)


def _threads_of_torch(asked: str | None, present: int) -> int:
    """Return how many threads OpenMP starts: it knows affinity, but no quota."""
    if asked is not None and asked.isdecimal():
        return int(asked)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else present


def check_waiting() -> Finding:
    """Look at how OpenMP's threads wait, which matters once several processes share processors."""
    policy = os.environ.get("OMP_WAIT_POLICY")
    if policy is not None and policy.strip().upper() == "ACTIVE":
        return Finding(
            WARNING,
            f"OMP_WAIT_POLICY={policy}: threads that wait keep their processors busy",
            "Set OMP_WAIT_POLICY=PASSIVE where several processes compute at once.",
        )
    if policy is None:
        return Finding(OK, "OMP_WAIT_POLICY is not set; PASSIVE helps where processes share")
    return Finding(OK, f"OMP_WAIT_POLICY={policy}")
