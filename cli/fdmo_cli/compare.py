"""``fdmo compare``: many ways to treat the long tail, on the same features, with statistics."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fdmo_cli.options import (
    ConfigOption,
    DataOption,
    DeviceOption,
    JsonOption,
    PluginOption,
    SetOption,
)

if TYPE_CHECKING:
    from fdmo_cli.comparison.order import Order

SourceArgument = Annotated[
    str | None,
    typer.Argument(
        help="Run folder whose phase 1 is used, or data as --data takes it.", show_default=False
    ),
]
MethodsOption = Annotated[
    str | None, typer.Option("--methods", help="Names, separated by commas; default: all.")
]
SeedsOption = Annotated[
    int | None, typer.Option("--seeds", min=1, help="How often each is trained; default: 5.")
]
FirstSeedOption = Annotated[
    int | None, typer.Option("--seed", min=0, help="The first of the seeds; default: 0.")
]
BaselineOption = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        help="Method that the others are compared with; default: logit-adjustment-out-of-fold, or "
        "else none.",
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option("--jobs", min=1, help="Processes at a time; default: one for each core."),
]
FolderOption = Annotated[
    Path | None,
    typer.Option("--out", help="Folder of cells and results; default: runs/compare/DATA."),
]
TuneOption = Annotated[
    int,
    typer.Option(
        "--tune", min=0, help="Trials of settings on the validation split, for each method."
    ),
]
SweepOption = Annotated[
    str | None,
    typer.Option(
        "--sweep",
        help="Try several values of a setting: rebalancer.samples_per_class=10,50,100.",
    ),
]
RayOption = Annotated[bool, typer.Option("--ray", help="Use the nodes of a Ray cluster.")]
NoPlotOption = Annotated[bool, typer.Option("--no-plot", help="Write no PNG and SVG files.")]


def compare(
    source: SourceArgument = None,
    data: DataOption = None,
    config: ConfigOption = None,
    plugin: PluginOption = None,
    set_: SetOption = None,
    methods: MethodsOption = None,
    seeds: SeedsOption = None,
    seed: FirstSeedOption = None,
    baseline: BaselineOption = None,
    sweep: SweepOption = None,
    tune: TuneOption = 0,
    jobs: JobsOption = None,
    ray: RayOption = False,
    out: FolderOption = None,
    device: DeviceOption = "auto",
    no_plot: NoPlotOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare methods against the long tail on the same features, and say which are better.

    Phase 1 is trained once for each seed. The same command again does what is missing.
    """
    from fdmo_cli.comparison.order import make_order
    from fdmo_cli.comparison.running import run_order
    from fdmo_cli.comparison.tuning import require_optuna
    from fdmo_cli.comparison.workers import choose_workers
    from fdmo_cli.reproduction.plots import require_matplotlib
    from fdmo_cli.session import choose_device, load_registry

    if not no_plot:
        require_matplotlib()
    if tune:
        require_optuna()
    make_workers = choose_workers(jobs or os.cpu_count() or 1, ray=ray)
    order = make_order(
        load_registry(*_earlier_runs(source, data, out)),
        source=source,
        data=data,
        config=config,
        plugins=plugin or (),
        settings=set_ or (),
        methods=methods,
        seeds=seeds,
        seed=seed,
        baseline=baseline,
        sweep=sweep,
        trials=tune,
        out=out,
    )
    try:
        failures = run_order(order, make_workers, device=str(choose_device(device)), quiet=as_json)
    except KeyboardInterrupt:
        typer.echo("Stopped. The same command goes on from here.", err=True)
        raise
    _report(order, failures, with_plots=not no_plot, as_json=as_json)
    if failures:
        raise typer.Exit(1)


def _earlier_runs(source: str | None, data: str | None, out: Path | None) -> list[Path]:
    """Return where there may be runs to start from or to go on with."""
    from fdmo_core.manifest import ENVIRONMENT_FILE

    folders = [out or Path("runs", "compare", Path(source or data or "").stem)]
    if source is not None and Path(source, ENVIRONMENT_FILE).is_file():
        folders.append(Path(source))
    return folders


def _report(
    order: "Order", failures: Mapping[str, str], *, with_plots: bool, as_json: bool
) -> None:
    """Print the table, or JSON, and write the files; say what failed whatever there is to show."""
    from rich.console import Console

    from fdmo_cli.comparison import documents
    from fdmo_cli.comparison.plots import write_plots
    from fdmo_cli.comparison.results import collect
    from fdmo_cli.comparison.tables import print_comparison

    for name, reason in failures.items():
        typer.echo(f"Error in {name}: {reason}", err=True)
    comparison = collect(order.cells(), order.baseline, order.metrics)
    notes = documents.describe(comparison, order)
    content = {**comparison.as_dict(), "notes": notes, "failures": dict(failures)}
    content["left_out"] = dict(order.left_out)
    documents.write_documents(order.folder, comparison, notes, content)
    if with_plots:
        write_plots(order.folder, comparison, sweep=order.sweep)
    if as_json:
        typer.echo(json.dumps(content))
    else:
        print_comparison(comparison, notes, console=Console())
        typer.echo(f"Cells and results: {order.folder}")
