"""``fdmo train``: both phases, into a run folder."""

import json
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fdmo_cli.options import (
    ConfigOption,
    DataOption,
    DeviceOption,
    JsonOption,
    PluginOption,
    SeedOption,
    SetOption,
)

if TYPE_CHECKING:
    from fdmo_core.compute import Compute
    from fdmo_core.config import Run
    from fdmo_core.network import Network
    from fdmo_core.samples import Splits

OutOption = Annotated[
    Path | None, typer.Option("--out", help="Run folder to make; default: runs/DATA-NUMBER.")
]
Phase1Option = Annotated[
    Path | None,
    typer.Option(
        "--phase1-from", help="Take phase 1 and the dictionary from this run folder, train phase 2."
    ),
]


def train(
    config: ConfigOption = None,
    plugin: PluginOption = None,
    data: DataOption = None,
    set_: SetOption = None,
    seed: SeedOption = None,
    out: OutOption = None,
    phase1_from: Phase1Option = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train a classifier in two phases and evaluate it before and after the second.

    Under torchrun the processes share the images: torchrun --nproc-per-node 8 -m fdmo_cli train.
    """
    from fdmo_cli.session import choose_device, load_registry, read_run
    from fdmo_core.compute import Compute
    from fdmo_core.data import open_data
    from fdmo_core.engine import check_run
    from fdmo_core.run_folder import create_run_folder
    from fdmo_core.world import joined_world

    registry = load_registry(phase1_from)
    run = read_run(registry, config=config, plugins=plugin, data=data, settings=set_, seed=seed)
    chosen_device = choose_device(device)
    with joined_world(chosen_device) as world:
        compute = Compute(chosen_device, run.core.compute, world)
        splits = open_data(run)
        model = check_run(run, splits)
        folder = world.from_first(lambda: create_run_folder(out, data=run.data.config.name))
        metrics = train_in(
            folder, run, splits, model, compute=compute, phase1_from=phase1_from, quiet=as_json
        )
    if world.is_first:
        _print(folder, metrics, as_json=as_json)


def train_in(
    folder: Path,
    run: "Run",
    splits: "Splits",
    model: "Network",
    *,
    compute: "Compute",
    phase1_from: Path | None,
    quiet: bool,
) -> dict[str, Any]:
    """Train into a run folder, with progress bars and a log, and return the metrics."""
    from fdmo_cli.progress import ProgressBars
    from fdmo_core.engine import train as train_run
    from fdmo_core.journal import Journal
    from fdmo_core.recorder import Recorder

    recorder = Recorder(folder, run, splits, compute)
    recorder.begin(shlex.join(["fdmo", *sys.argv[1:]]))
    go = partial(train_run, run, splits, model, recorder, compute=compute, phase1_from=phase1_from)
    if not compute.world.is_first:
        return go(journal=Journal())
    with (
        ProgressBars(quiet=quiet) as bars,
        Journal(folder / "log.jsonl", show=bars.show, say=bars.say) as journal,
    ):
        return go(journal=journal)


def _print(folder: Path, metrics: dict[str, Any], *, as_json: bool) -> None:
    from fdmo_cli.rendering import print_metrics

    if as_json:
        typer.echo(json.dumps({"run": str(folder), "metrics": metrics}))
        return
    if metrics["test"] is not None:
        print_metrics(
            {f"{when} phase 2": metrics["test"][when] for when in ("before", "after")},
            title=f"Test split, {metrics['test']['after']['samples']} images",
        )
    typer.echo(f"Run folder: {folder}\nNext: fdmo export onnx {folder}")
