"""``fdmo runs``: which run folders there are, what is in them, whether they are whole."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fdmo_cli.options import JsonOption
from fdmo_cli.printable import printable

if TYPE_CHECKING:
    from fdmo_core.run_listing import RunSummary

app = typer.Typer(no_args_is_help=True)

FolderArgument = Annotated[
    Path, typer.Argument(metavar="[FOLDER]", help="Where runs are, at any depth.")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
RunsArgument = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
LentOption = Annotated[
    bool, typer.Option("--even-if-lent", help="Also a run whose phase 1 other runs are from.")
]


@app.command("list")
def list_runs(folder: FolderArgument = Path("runs"), as_json: JsonOption = False) -> None:
    """List the runs in a folder: state, data, figures after phase 2, size."""
    from fdmo_core.errors import RunFolderError
    from fdmo_core.run_listing import find_runs, summarize_run

    if not folder.is_dir():
        raise RunFolderError(
            f"{folder} is no folder. Expected one with run folders in it. Name it: fdmo runs list "
            f"FOLDER."
        )
    runs = [summarize_run(one) for one in find_runs(folder)]
    if as_json:
        typer.echo(json.dumps([one.as_dict() for one in runs]))
    elif runs:
        _print_table(runs)
    else:
        typer.echo(f"No run in {printable(folder)}.")


@app.command("show")
def show(run: RunArgument, as_json: JsonOption = False) -> None:
    """Show how far a run is, what it was begun with, and its settings that are no defaults."""
    from fdmo_cli.session import load_registry
    from fdmo_core.config import resolve_run
    from fdmo_core.kinds import KIND_OF_SECTION
    from fdmo_core.resuming import changes, read_begun
    from fdmo_core.run_listing import require_run, summarize_run

    require_run(run)
    begun = read_begun(run)
    config = begun.environment["config"]
    names = {section: {"name": config[section]["name"]} for section in KIND_OF_SECTION}
    defaults = resolve_run(names, load_registry(run), is_trained=True).as_dict()
    chosen = {key: now for key, _, now in changes(defaults, config)}
    chosen |= {f"{section}.name": one["name"] for section, one in names.items()}
    told = {
        **summarize_run(run).as_dict(),
        "settings": dict(sorted(chosen.items())),
        "classes": len(begun.data["class_names"]),
        "digest": begun.data["digest"],
        **{key: one for key, one in begun.environment.items() if key not in ("config", "seed")},
    }
    if as_json:
        typer.echo(json.dumps(told))
        return
    for key, value in told.items():
        _print_entry(key, value)


@app.command("verify")
def verify(runs: RunsArgument, as_json: JsonOption = False) -> None:
    """Compare every file of runs with its digest; exit code 1 if one is not as it was written."""
    from fdmo_core.run_listing import verify_run

    found = {str(run): verify_run(run) for run in runs}
    if as_json:
        content = {run: [one._asdict() for one in damages] for run, damages in found.items()}
        typer.echo(json.dumps(content))
    else:
        for run, damages in found.items():
            for one in damages:
                typer.echo(printable(f"{Path(run) / one.name}: {one.problem}"))
            if not damages:
                typer.echo(printable(f"{run}: all files are as they were written"))
    if any(found.values()):
        raise typer.Exit(1)


@app.command("remove")
def remove(runs: RunsArgument, yes: YesOption = False, even_if_lent: LentOption = False) -> None:
    """Remove run folders with all that is in them."""
    from fdmo_core.errors import RunFolderError
    from fdmo_core.files import readable_size
    from fdmo_core.run_listing import borrowers, remove_run, summarize_run

    for run in runs:
        if not even_if_lent and (lent := borrowers(run)):
            raise RunFolderError(
                f"Phase 1 of {run} is that of {', '.join(map(str, lent))} as well. Expected a run "
                f"that nobody needs. Remove those first, or give --even-if-lent."
            )
        if not yes:
            one = summarize_run(run)
            asked = f"Remove {printable(run)} ({one.state}, {readable_size(one.bytes)})?"
            typer.confirm(asked, abort=True, err=True)
        remove_run(run)
        typer.echo(f"Removed {printable(run)}")


def _print_table(runs: "list[RunSummary]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fdmo_core.files import readable_size

    table = Table()
    for heading in ("run", "state", "data", "ACSA", "geometric mean", "size"):
        table.add_column(heading, overflow="fold")
    for one in runs:
        state = f"{one.state}: {one.detail}" if one.detail else one.state
        figures = [
            f"{one.figures[name]:.4f}" if name in one.figures else "-"
            for name in ("acsa", "geometric_mean")
        ]
        cells = (one.folder, state, one.data, *figures, readable_size(one.bytes))
        table.add_row(*(Text(printable(cell)) for cell in cells))
    Console().print(table)


def _print_entry(key: str, value: Any) -> None:
    if isinstance(value, dict):
        typer.echo(f"{key}:")
        for name, one in value.items():
            typer.echo(printable(f"  {name}: {one}"))
    elif value not in ("", None):
        typer.echo(printable(f"{key}: {value}"))
