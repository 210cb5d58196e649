"""The commands below ``fdmo plugins``; without one of them the components are listed."""

import typer

from fdmo_cli.options import JsonOption
from fdmo_cli.plugins.check import check
from fdmo_cli.plugins.doctor import doctor
from fdmo_cli.plugins.listing import list_components
from fdmo_cli.plugins.new import new
from fdmo_cli.plugins.show import show

app = typer.Typer(no_args_is_help=False)
app.command("list")(list_components)
app.command("show")(show)
app.command("check")(check)
app.command("doctor")(doctor)
app.command("new")(new)


@app.callback(invoke_without_command=True)
def plugins(context: typer.Context, as_json: JsonOption = False) -> None:
    """List every component, as 'fdmo plugins list' does, unless a command follows."""
    if context.invoked_subcommand is None:
        list_components(as_json=as_json)
