"""``fdmo plugins list``: what is installed, and from where."""

import json

import typer

from fdmo_cli.options import JsonOption


def list_components(as_json: JsonOption = False) -> None:
    """List every component: name, kind, distribution, version, and what it is."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from fdmo_cli.session import load_registry

    rows = [
        {
            "name": one.name,
            "kind": one.kind.name,
            "distribution": one.distribution,
            "version": one.version,
            "summary": one.summary,
        }
        for one in load_registry().components()
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table(box=None)
    for heading in rows[0]:
        table.add_column(heading, no_wrap=heading != "summary")
    for row in rows:
        table.add_row(*map(escape, row.values()))
    Console().print(table)
