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

    names = Names.of(name, kind, load_registry(), one_file=one_file)
    written = write_plugin(out, plugin_files(names, one_file=one_file))
    for path in written:
        typer.echo(f"Wrote {path}")
    typer.echo("Next:")
    for command in _use_file(name, out) if one_file else _use_package(name, out):
        typer.echo(f"  {command}")


def _use_package(name: str, out: Path) -> tuple[str, ...]:
    """Return what to run after a package was written."""
    folder = out / f"fdmo-{name}"
    return (
        f"pip install -e {shlex.quote(f'{folder}[test]')}",
        f"pytest {shlex.quote(str(folder))}",
        f"fdmo plugins check {name}",
        f"fdmo train --plugin {name}",
    )


def _use_file(name: str, out: Path) -> tuple[str, ...]:
    """Return what to run after a plugin of one file was written."""
    folder = f"--plugins-dir {shlex.quote(str(out))}"
    return (
        f"fdmo plugins {folder}",
        f"fdmo plugins check {name} {folder}",
        f"fdmo train --plugin {name} {folder}",
    )
