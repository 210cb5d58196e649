"""``fdmo plugins new``: writes a small, complete plugin to begin with."""

import shlex
from pathlib import Path
from typing import Annotated

import typer


def new(
    name: Annotated[
        str, typer.Argument(help="Of the component: lower case letters, digits and dashes.")
    ],
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            help="loss, extractor, generator, dictionary, landmark-head, rebalancer or dataset.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write into; it is made.")] = Path(),
    one_file: Annotated[
        bool, typer.Option("--one-file", help="Only a module, for --plugins-dir; no package.")
    ] = False,
) -> None:
    """Write a plugin with one component, its test and all that a package needs."""
    from fdmo_cli.plugins.skeleton import Names, plugin_files, write_plugin
    from fdmo_cli.session import load_registry

    names = Names.of(name, kind, load_registry())
    written = write_plugin(out, plugin_files(names, one_file=one_file))
    for path in written:
        typer.echo(f"Wrote {path}")
    folder = shlex.quote(str(out if one_file else out / names.distribution))
    typer.echo("Next:")
    for command in _one_file_commands(name, folder) if one_file else _commands(name, folder):
        typer.echo(f"  {command}")


def _commands(name: str, folder: str) -> tuple[str, ...]:
    """Return what to run after a package was written."""
    return (f"pip install -e {folder}", f"pytest {folder}", f"fdmo train --plugin {name}")


def _one_file_commands(name: str, folder: str) -> tuple[str, ...]:
    """Return what to run after a module was written."""
    option = f"--plugins-dir {folder}"
    return (
        f"fdmo plugins list {option}",
        f"fdmo plugins check {name} {option}",
        f"fdmo train --plugin {name} {option}",
    )
