"""checkpoints: what saving costs an epoch of phase 1, with small-vgg on fashion-mnist.

The epoch is the only one of its phase, so that the checkpoint at the phase's end is in it beside
those of the default interval. The time that is spent in saving is measured inside the same epoch,
for two epochs differ by more than that.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from measure import Benchmark

from fdmo_core.compute import Compute
from fdmo_core.config import Run, resolve_run
from fdmo_core.data import open_data
from fdmo_core.engine import check_run
from fdmo_core.journal import Journal
from fdmo_core.map_building import open_maps
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.recorded_phase1 import train_recorded
from fdmo_core.recorder import Recorder
from fdmo_core.registry import Registry
from fdmo_core.run_folder import create_run_folder

SETTINGS = {"data": {"name": "fashion-mnist"}, "phase1": {"shape_epochs": 0, "epochs": 1}}


class TimedRecorder(Recorder):
    """Counts the seconds that :meth:`after_step` takes."""

    seconds = 0.0

    def after_step(self, *args: Any, **kwargs: Any) -> None:
        """Do as the recorder does, by the clock."""
        start = time.perf_counter()
        super().after_step(*args, **kwargs)
        self.seconds += time.perf_counter() - start


def benchmarks() -> list[Benchmark]:
    """Return the line: seconds of the epoch with saving, and without."""
    run = resolve_run(SETTINGS, Registry(load_plugins()))
    with tempfile.TemporaryDirectory() as folder:
        epoch, saving = seconds_of_an_epoch(run, Path(folder, "run"))
    return [Benchmark("checkpoints", epoch, epoch - saving, "s")]


def seconds_of_an_epoch(run: Run, folder: Path) -> tuple[float, float]:
    """Return what an epoch takes, and how much of that is saving."""
    compute, journal = Compute(torch.device("cpu"), run.core.compute), Journal()
    splits = open_data(run)
    network = check_run(run, splits)
    recorder = TimedRecorder(
        create_run_folder(folder, data=run.data.config.name), run, splits, compute
    )
    maps = open_maps(run, splits, network, compute=compute, journal=journal)["train"]
    start = time.perf_counter()
    train_recorded(run, maps, network, recorder, compute=compute, journal=journal)
    return time.perf_counter() - start, recorder.seconds
