"""``fdmo train``: both phases, into a run folder."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

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

OutOption = Annotated[
    Path | None, typer.Option("--out", help="Run folder to make; default: runs/DATA-NUMBER.")
]


def train(
    config: ConfigOption = None,
    plugin: PluginOption = None,
    data: DataOption = None,
    set_: SetOption = None,
    seed: SeedOption = None,
    out: OutOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train a classifier in two phases and evaluate it before and after the second."""
    from fdmo_cli.progress import ProgressBars
    from fdmo_cli.rendering import print_metrics
    from fdmo_cli.session import choose_device, load_registry, read_run
    from fdmo_core.data import open_data
    from fdmo_core.engine import check_run
    from fdmo_core.engine import train as train_run
    from fdmo_core.journal import Journal
    from fdmo_core.run_folder import create_run_folder

    run = read_run(
        load_registry(), config=config, plugins=plugin, data=data, settings=set_, seed=seed
    )
    chosen_device = choose_device(device)
    splits = open_data(run)
    check_run(run, splits)
    folder = create_run_folder(out, data=run.data.config.name)
    with (
        ProgressBars(quiet=as_json) as bars,
        Journal(folder / "log.jsonl", show=bars.show, say=bars.say) as journal,
    ):
        metrics = train_run(
            run,
            splits,
            folder,
            device=chosen_device,
            journal=journal,
            command=shlex.join(["fdmo", *sys.argv[1:]]),
        )
    if as_json:
        typer.echo(json.dumps({"run": str(folder), "metrics": metrics}))
        return
    if metrics["test"] is not None:
        print_metrics(
            {f"{when} phase 2": metrics["test"][when] for when in ("before", "after")},
            title=f"Test split, {metrics['test']['after']['samples']} images",
        )
    typer.echo(f"Run folder: {folder}\nNext: fdmo export onnx {folder}")
