"""How many threads this process may use: its affinity, and the quota of its control group."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def available_threads(root: Path = Path("/")) -> int:
    """Return how many threads can run at once, at least 1.

    A container may be allowed half of a machine of 64 cores, and onnxruntime would still start 64
    threads, which then wait for each other. The quota is that of the control group or of one above
    it, whichever is smaller, rounded up; Linux only.

    Args:
        root: What is looked for below it: ``proc`` and ``sys``.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas, in cores, that hold for this process."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux, or no control groups
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:  # version 2
            for folder in _folders(root / "sys/fs/cgroup", group):
                yield from _quota(folder, "cpu.max")
        elif "cpu" in controllers.split(","):  # version 1
            for folder in _folders(root / "sys/fs/cgroup/cpu", group):
                yield from _quota(folder, "cpu.cfs_quota_us", "cpu.cfs_period_us")


def _folders(mount: Path, group: str) -> Iterator[Path]:
    """Yield the folders of a group and of those above it, as far as they can be seen from here."""
    inside = PurePosixPath(group.lstrip("/"))
    yield from (mount / one for one in (inside, *inside.parents))


def _quota(folder: Path, *files: str) -> Iterator[float]:
    try:
        quota, period = " ".join((folder / file).read_text() for file in files).split()
        if quota not in ("max", "-1"):
            yield int(quota) / int(period)
    except OSError:  # not limited there
        return
