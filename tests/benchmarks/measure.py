"""Measure two ways of doing one thing in one run: times in turn, memory in processes of its own."""

import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple


class Benchmark(NamedTuple):
    """One line of benchmarks.json.

    Attributes:
        name: As the documentation refers to it.
        ours: What fdmo needs.
        baseline: What the other form needs.
        unit: Of both.
        limit: The ratio that counted operations or bytes allow, where it can be counted.
    """

    name: str
    ours: float
    baseline: float
    unit: str
    limit: float | None = None

    @property
    def ratio(self) -> float:
        """How many times better fdmo is."""
        return self.baseline / self.ours

    def as_dict(self) -> dict[str, str | float | None]:
        """Return the line as plain data."""
        return self._asdict() | {"ratio": self.ratio}


def seconds_in_turn(
    ours: Callable[[], object], baseline: Callable[[], object], *, rounds: int
) -> tuple[float, float]:
    """Return the median seconds of both, which run in turn so that both meet the same machine."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for action, record in zip((ours, baseline), times, strict=True):
            start = time.perf_counter()
            action()
            record.append(time.perf_counter() - start)
    return median(times[0][1:]), median(times[1][1:])  # the first round warms up


def extra_mebibytes(action: Callable[[], object]) -> float:
    """Return how far resident memory rises above where it stands while the action runs.

    Linux with glibc only: memory that was freed is handed back and the kernel's peak is reset
    first.
    """
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_mebibytes("VmRSS")
    action()
    return _status_mebibytes("VmHWM") - before


def _status_mebibytes(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def in_own_process(script: str, form: str) -> float:
    """Return the number that ``script form`` prints, run in a fresh process."""
    result = subprocess.run(
        [sys.executable, script, form], capture_output=True, text=True, check=True
    )
    return float(json.loads(result.stdout.splitlines()[-1]))
