"""What checkpoints cost of a phase-1 epoch of small-vgg on fashion-mnist, at default intervals.

Prints the seconds of the epoch, those inside after_step, and those of each checkpoint that was
written. A phase of one epoch ends with a checkpoint, so one is the least that can be written.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fdmo_cli.main import main as fdmo
from fdmo_core import recorder

after_steps: list[float] = []
saves: list[float] = []
of_phase1_ends: list[float] = []


def timed(function: Any, seconds: list[float]) -> Any:
    """Return the function, whose seconds are noted."""

    def call(*args: Any, **kwargs: Any) -> Any:
        begin = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - begin)
            if seconds is after_steps:
                of_phase1_ends.append(time.perf_counter())

    return call


def main() -> None:
    """Train one epoch of phase 1 and none of the rest that can be left out."""
    original = recorder.Recorder.after_step
    of_phase1 = timed(original, after_steps)

    def after_step(self: Any, phase: str, *args: Any, **kwargs: Any) -> Any:
        chosen = of_phase1 if phase == "phase1" else original
        return chosen(self, phase, *args, **kwargs)

    recorder.Recorder.after_step = after_step  # type: ignore[method-assign]
    recorder.save_checkpoint = timed(recorder.save_checkpoint, saves)  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        settings = ["phase1.epochs=1", "phase1.shape_epochs=0", "rebalancer.epochs=1"]
        settings += ["texture_stream.name=small-vgg", "shape_stream.name=small-vgg", *sys.argv[1:]]
        arguments = ["train", "--data", "fashion-mnist", "--out", str(Path(folder, "run"))]
        for setting in settings:
            arguments += ["--set", setting]
        try:
            sys.argv = ["fdmo", *arguments]
            fdmo()
        except SystemExit as leaving:
            if leaving.code:
                raise
    inside, epoch = sum(after_steps), of_phase1_ends[-1] - of_phase1_ends[0]
    print(f"{len(after_steps)} steps, {epoch:.1f} s from the first to the last")
    print(f"in after_step {inside:.3f} s, {inside / epoch:.2%}; checkpoints {saves} s")


if __name__ == "__main__":
    main()
