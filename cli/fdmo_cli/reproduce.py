"""``fdmo reproduce``: a table or a figure of the paper, from runs that it trains."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fdmo_cli.options import DeviceOption, JsonOption, PluginOption, SetOption

if TYPE_CHECKING:
    import torch

    from fdmo_cli.reproduction.definitions import Experiment
    from fdmo_core.experiments import Cell
    from fdmo_core.network import Network
    from fdmo_core.samples import Splits
    from fdmo_core.world import World

Cells = Mapping[str, "Cell"]

RUNS = Path("runs", "reproduce")  # folders of all experiments are in it, unless --out says so

ExperimentArgument = Annotated[
    str, typer.Argument(help="table2, table3, table4, table5, figure2 or figure4.")
]
FilesOption = Annotated[
    str,
    typer.Option("--data", help="Folder of the paper's data set, or another data set by name."),
]
SeedsOption = Annotated[int, typer.Option("--seeds", min=1, help="How often each row is trained.")]
FirstSeedOption = Annotated[int, typer.Option("--seed", min=0, help="The first of the seeds.")]
FolderOption = Annotated[
    Path | None,
    typer.Option("--out", help="Folder of runs and results; default: runs/reproduce/PRESET."),
]
NoPlotOption = Annotated[bool, typer.Option("--no-plot", help="Write no PNG and SVG files.")]


def reproduce(
    experiment: ExperimentArgument,
    data: FilesOption,
    seeds: SeedsOption = 1,
    seed: FirstSeedOption = 0,
    out: FolderOption = None,
    plugin: PluginOption = None,
    set_: SetOption = None,
    device: DeviceOption = "auto",
    no_plot: NoPlotOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the rows of a table or figure of the paper, and show them beside the paper's figures.

    The same command again skips what is finished and goes on with what was interrupted.
    """
    from fdmo_cli.reproduction.cells import (
        Changes,
        default_folder,
        describe_changes,
        make_cells,
    )
    from fdmo_cli.reproduction.plots import require_matplotlib
    from fdmo_cli.session import choose_device, load_registry
    from fdmo_core.experiments import require_same_settings
    from fdmo_core.stopping import Interrupted
    from fdmo_core.world import joined_world

    chosen = _find(experiment)
    if not no_plot:
        require_matplotlib()
    registry = load_registry(out or RUNS)
    changes = Changes(data, tuple(plugin or ()), tuple(set_ or ()))
    folder = out or default_folder(chosen, registry, changes)
    by_seed = {
        f"seed-{one}": make_cells(
            chosen, registry, changes, seed=one, folder=folder / f"seed-{one}"
        )
        for one in range(seed, seed + seeds)
    }
    require_same_settings([cell for cells in by_seed.values() for cell in cells.values()])
    chosen_device = choose_device(device)
    with joined_world(chosen_device) as world:
        try:
            failures = _train(by_seed, device=chosen_device, world=world, quiet=as_json)
        except (KeyboardInterrupt, Interrupted):
            typer.echo("Stopped. The same command goes on from here.", err=True)
            raise
    if world.is_first:
        _report(
            folder,
            chosen,
            list(by_seed.values()),
            failures,
            notes=describe_changes(chosen, registry, changes),
            with_plots=not no_plot,
            as_json=as_json,
        )
    if failures:
        raise typer.Exit(1)


def _find(name: str) -> "Experiment":
    from fdmo_cli.reproduction.definitions import EXPERIMENTS
    from fdmo_core.errors import ConfigError

    if name not in EXPERIMENTS:
        raise ConfigError(
            f"Unknown experiment '{name}'. Expected one of: {', '.join(EXPERIMENTS)}. Figure 3 of "
            f"the paper is what table5 measures."
        )
    return EXPERIMENTS[name]


def _train(
    by_seed: Mapping[str, Cells], *, device: "torch.device", world: "World", quiet: bool
) -> dict[str, str]:
    """Train the cells of all seeds, and return why some could not be, by run folder."""
    from fdmo_cli.train import train_in
    from fdmo_core.compute import Compute
    from fdmo_core.experiments import run_cells

    def train_cell(
        cell: "Cell", splits: "Splits", model: "Network", phase1_from: Path | None
    ) -> object:
        compute = Compute(device, cell.run.core.compute, world)
        return train_in(
            cell.folder,
            cell.run,
            splits,
            model,
            compute=compute,
            phase1_from=phase1_from,
            quiet=quiet,
        )

    failures: dict[str, str] = {}
    for name, cells in by_seed.items():
        announce = partial(_announce, list(cells), name, quiet=quiet or not world.is_first)
        failed = run_cells(list(cells.values()), train=train_cell, world=world, announce=announce)
        failures |= {f"{name}/{cell}": reason for cell, reason in failed.items()}
    return failures


def _announce(names: Sequence[str], seed: str, cell: "Cell", *, quiet: bool) -> None:
    if not quiet:
        position = names.index(cell.name) + 1
        typer.echo(f"Run {position} of {len(names)}: {seed}/{cell.name}", err=True)


def _report(
    folder: Path,
    experiment: "Experiment",
    cells_by_seed: Sequence[Cells],
    failures: Mapping[str, str],
    *,
    notes: Sequence[str],
    with_plots: bool,
    as_json: bool,
) -> None:
    """Print the table, or JSON, and write the files."""
    from rich.console import Console

    from fdmo_cli.reproduction import records as results
    from fdmo_cli.reproduction.plots import write_plots
    from fdmo_cli.reproduction.tables import print_table

    confidence = next(iter(cells_by_seed[0].values())).run.core.metrics.confidence
    found = results.collect(experiment, cells_by_seed, confidence=confidence)
    notes = [
        results.paper_note(experiment),
        results.interval_note(found, confidence=confidence),
        *notes,
    ]
    content = results.as_json(experiment, found, failures, notes=notes)
    folder.mkdir(parents=True, exist_ok=True)
    results.write_files(folder, experiment, found, content)
    if with_plots and found:
        write_plots(folder, experiment, found, notes)
    if as_json:
        typer.echo(json.dumps(content))
    else:
        print_table(experiment, found, notes, console=Console())
        typer.echo(f"Runs and results: {folder}")
    for name, reason in failures.items():
        typer.echo(f"Error in {name}: {reason}", err=True)
