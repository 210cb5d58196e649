"""``fdmo reproduce-run``: a finished run once more, and whether it comes to the same bits."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fdmo_cli.options import JsonOption
from fdmo_cli.train import train_in

if TYPE_CHECKING:
    from fdmo_core.resuming import Begun, Difference

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Run folder to make; default: RUN-again.")
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="auto, cpu or cuda; default: that of the run.")
]


def reproduce_run(
    run_folder: RunArgument,
    out: OutOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a finished run again from its own settings, and report equal or the first difference.

    Exit code 1 if they differ. A run of several processes is started under torchrun again.
    """
    from fdmo_core.run_comparison import first_difference

    begun = _finished(run_folder)
    again, changed, is_first = _train_again(begun, out, device, quiet=as_json)
    if not is_first:
        return
    difference = first_difference(run_folder, again)
    if as_json:
        content = {
            "run": str(run_folder),
            "again": str(again),
            "equal": not difference,
            "first_difference": difference or None,
            "changed": [str(one) for one in changed],
        }
        typer.echo(json.dumps(content))
    elif difference:
        typer.echo(f"{again} differs from {run_folder}, first in {difference}.")
    else:
        typer.echo(
            f"{again} equals {run_folder} in data, terms of all steps, dictionary, model, metrics."
        )
    if difference:
        raise typer.Exit(1)


def _finished(folder: Path) -> "Begun":
    from fdmo_core.errors import RunFolderError
    from fdmo_core.manifest import require_intact
    from fdmo_core.resuming import read_begun

    begun = read_begun(folder)
    if not begun.is_finished:
        raise RunFolderError(
            f"{folder} is not finished. Expected a finished run. Finish it with 'fdmo train "
            f"--resume {folder}'."
        )
    require_intact(folder, "config.toml", "environment.json", "data.json")
    return begun


def _train_again(
    begun: "Begun", out: Path | None, device: str | None, *, quiet: bool
) -> tuple[Path, list["Difference"], bool]:
    """Return the new run's folder, what is not as it was, and whether this process talks."""
    import torch

    from fdmo_cli.session import choose_device, load_registry, read_run
    from fdmo_core.compute import Compute
    from fdmo_core.data import open_data
    from fdmo_core.engine import check_run
    from fdmo_core.resuming import differences
    from fdmo_core.run_folder import create_run_folder
    from fdmo_core.world import joined_world

    registry = load_registry(begun.folder, begun.phase1_from)
    run = read_run(
        registry,
        config=begun.folder / "config.toml",
        plugins=None,
        data=None,
        settings=None,
        seed=None,
    )
    chosen_device = choose_device(device or begun.environment["device"].partition(":")[0])
    torch.set_num_threads(begun.environment["threads"])
    with joined_world(chosen_device) as world:
        compute = Compute(chosen_device, run.core.compute, world)
        splits = open_data(run)
        changed = differences(begun, run, splits, compute) if world.is_first else []
        for one in changed:
            typer.echo(f"Notice: not as it was: {one}", err=True)
        model = check_run(run, splits)
        target = out or begun.folder.with_name(f"{begun.folder.name}-again")
        name = run.data.config.name
        folder = Path(world.from_first(lambda: str(create_run_folder(target, data=name))))
        train_in(
            folder,
            run,
            splits,
            model,
            compute=compute,
            phase1_from=begun.phase1_from,
            quiet=quiet,
        )
    return folder, changed, world.is_first
