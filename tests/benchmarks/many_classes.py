"""A run with 10,000 classes, one of them with one row: prints its seconds and its peak of memory.

The data are features: 60,000 rows of 64 numbers, of which 39,997 are trained on.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

NUM_CLASSES, FEATURES = 10_000, 64
SPLITS = ("train", "train", "train", "train", "val", "test")  # of the six rows of a class


def write_rows(file: Path) -> None:
    """Write the features; the first class keeps one row to train with."""
    labels = np.repeat(np.arange(NUM_CLASSES), len(SPLITS))
    centres = np.random.default_rng(0).normal(size=(NUM_CLASSES, FEATURES))
    noise = np.random.default_rng(1).normal(size=(len(labels), FEATURES))
    features = (3 * centres[labels] + noise).astype(np.float32)
    chosen = np.ones(len(labels), dtype=bool)
    chosen[1:4] = False
    splits = np.tile(SPLITS, NUM_CLASSES)
    np.savez(file, features=features[chosen], labels=labels[chosen], split=splits[chosen])


def main() -> None:
    """Train, and say what it took."""
    with tempfile.TemporaryDirectory() as name:
        folder, begin = Path(name), time.perf_counter()
        write_rows(folder / "rows.npz")
        command = [sys.executable, "-m", "fdmo_cli", "train", "--config", "features"]
        command += ["--data", "rows.npz", "--out", "run"]
        for setting in ("phase1.epochs=1", "rebalancer.epochs=1", *sys.argv[1:]):
            command += ["--set", setting]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # KiB on Linux
        if done.returncode:
            sys.exit(done.returncode)
        metrics = (folder / "run" / "metrics.json").stat().st_size / 2**20
        seconds = time.perf_counter() - begin
        print(f"{seconds:.0f} s, {peak:.0f} MiB at the peak, metrics.json of {metrics:.1f} MiB")


if __name__ == "__main__":
    main()
