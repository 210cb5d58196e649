"""``fdmo train``: both phases, into a run folder; and on, where a run stopped."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fdmo_cli.options import (
    ConfigOption,
    DataOption,
    DeterministicOption,
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
    from fdmo_core.resuming import Begun
    from fdmo_core.samples import Splits
    from fdmo_core.stopping import StopRequest

OutOption = Annotated[
    Path | None, typer.Option("--out", help="Run folder to make; default: runs/DATA-NUMBER.")
]
Phase1Option = Annotated[
    Path | None,
    typer.Option(
        "--phase1-from", help="Take phase 1 and the dictionary from this run folder, train phase 2."
    ),
]
ResumeOption = Annotated[
    Path | None,
    typer.Option("--resume", help="Go on with the run in this folder, with its own settings."),
]
AllowedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-changed",
        help="With --resume: a setting or version that may differ from before; repeatable.",
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
    resume: ResumeOption = None,
    allow_changed: AllowedOption = None,
    device: DeviceOption = "auto",
    deterministic: DeterministicOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a classifier in two phases and evaluate it before and after the second.

    A run that was stopped, by Ctrl-C, by a signal or by a crash, goes on with --resume and ends
    with the same bits. Under torchrun the processes share the images: torchrun --nproc-per-node 8
    -m fdmo_cli train.
    """
    from fdmo_cli.session import choose_device, load_registry, read_run
    from fdmo_core.compute import Compute
    from fdmo_core.data import open_data
    from fdmo_core.engine import check_run
    from fdmo_core.resuming import require_same
    from fdmo_core.run_folder import create_run_folder
    from fdmo_core.world import joined_world

    begun = _begun(resume, out=out, phase1_from=phase1_from, allowed=allow_changed)
    lender = begun.phase1_from if begun is not None else phase1_from
    registry = load_registry(resume, lender)
    run = read_run(
        registry,
        config=begun.folder / "config.toml" if begun is not None and config is None else config,
        plugins=plugin,
        data=data,
        settings=[*(set_ or ()), *_chosen(deterministic)],
        seed=seed,
    )
    chosen_device = choose_device(device)
    with joined_world(chosen_device) as world:
        compute = Compute(chosen_device, run.core.compute, world)
        splits = open_data(run)
        if begun is not None:
            allowed = allow_changed or ()
            world.from_first(lambda: require_same(begun, run, splits, compute, allowed=allowed))
            if world.from_first(lambda: begun.is_finished):
                if world.is_first:
                    typer.echo(f"{begun.folder} is finished; nothing is left to do.", err=True)
                    _print(begun.folder, begun.metrics(), as_json=as_json)
                return
        model = check_run(run, splits)
        folder = resume or Path(
            world.from_first(lambda: str(create_run_folder(out, data=run.data.config.name)))
        )
        metrics = train_in(
            folder, run, splits, model, compute=compute, phase1_from=lender, quiet=as_json
        )
    if world.is_first:
        _print(folder, metrics, as_json=as_json)


def _chosen(deterministic: bool | None) -> list[str]:
    """Return the setting that the option stands for."""
    if deterministic is None:
        return []
    return [f'compute.deterministic="{"on" if deterministic else "off"}"']


def _begun(
    resume: Path | None, *, out: Path | None, phase1_from: Path | None, allowed: list[str] | None
) -> "Begun | None":
    """Return the run to go on with, if one is."""
    from fdmo_core.errors import ConfigError
    from fdmo_core.resuming import read_begun

    if resume is None:
        if allowed:
            raise ConfigError(
                "--allow-changed is for a run that goes on. Expected --resume RUN beside it. Leave "
                "it out for a new run."
            )
        return None
    for option, value in (("--out", out), ("--phase1-from", phase1_from)):
        if value is not None:
            raise ConfigError(
                f"{option} cannot be given with --resume. Expected a run that goes on in its own "
                f"folder, with its own phase 1. Leave {option} out."
            )
    return read_begun(resume)


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
    """Train into a run folder, with progress bars and a log, and return the metrics.

    Raises:
        Interrupted: The run was asked to stop; what was done is in the folder.
    """
    from fdmo_cli.progress import ProgressBars
    from fdmo_core.determinism import deterministic_algorithms
    from fdmo_core.engine import train as train_run
    from fdmo_core.journal import Journal
    from fdmo_core.recorder import Recorder
    from fdmo_core.run_lock import locked_run
    from fdmo_core.stopping import stopping_on_signals

    with stopping_on_signals() as stop:
        recorder = Recorder(folder, run, splits, compute, stop)
        go = partial(
            train_run, run, splits, model, recorder, compute=compute, phase1_from=phase1_from
        )
        if not compute.world.is_first:
            journal = Journal(stop=stop)
            with _stopping_together(stop, Exception), deterministic_algorithms(compute, journal):
                return go(journal=journal)
        with locked_run(folder):
            recorder.begin(shlex.join(["fdmo", *sys.argv[1:]]), phase1_from=phase1_from)
            with (
                _stopping_together(stop, RuntimeError),
                ProgressBars(quiet=quiet) as bars,
                Journal(folder / "log.jsonl", show=bars.show, say=bars.say, stop=stop) as journal,
                deterministic_algorithms(compute, journal),
            ):
                return go(journal=journal)


@contextmanager
def _stopping_together(stop: "StopRequest", loss: type[Exception]) -> Iterator[None]:
    """Take the loss of another process for what it is, where all were asked to stop.

    Args:
        stop: Whether they were.
        loss: What it raises: RuntimeError in the first process, which tells of all other errors
            itself.
    """
    try:
        yield
    except loss:
        stop.obey("with the other processes")
        raise


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
