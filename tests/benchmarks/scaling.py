"""phase1-scaling: phase 1 by two processes with a thread each, against one process with one.

Real processes under torchrun, the default network on drawn garments, the same global batch.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Benchmark

SETTINGS = (
    "data.largest_class=300",
    "phase1.shape_epochs=0",
    "phase1.epochs=2",
    "phase1.batch_size=128",
    "rebalancer.epochs=0",
)


def seconds_a_step(processes: int, folder: Path) -> float:
    """Return the mean seconds of a step of phase 1, without the first epoch's start."""
    out = folder / f"{processes}"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    command += ["-m", "fdmo_cli", "train", "--device", "cpu", "--out", str(out)]
    command += [part for setting in SETTINGS for part in ("--set", setting)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    lines = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    times = [line["time"] for line in lines if line.get("phase") == "phase1"]
    settled = times[len(times) // 4 :]
    return float(settled[-1] - settled[0]) / (len(settled) - 1)


def benchmarks() -> list[Benchmark]:
    """Return the line; two cores allow a ratio of 2."""
    with tempfile.TemporaryDirectory() as name:
        one, two = (seconds_a_step(processes, Path(name)) for processes in (1, 2))
    return [Benchmark("phase1-scaling", two, one, "s/step", 2.0)]
