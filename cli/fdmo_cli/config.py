"""``fdmo config``: the resolved configuration, and the schema of all configurations."""

import json

import typer

from fdmo_cli.options import ConfigOption, DataOption, PluginOption, SeedOption, SetOption

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def show(
    config: ConfigOption = None,
    plugin: PluginOption = None,
    data: DataOption = None,
    set_: SetOption = None,
    seed: SeedOption = None,
) -> None:
    """Print the configuration that 'fdmo train' would use, defaults included, as TOML."""
    from fdmo_cli.session import load_registry, read_run

    run = read_run(
        load_registry(), config=config, plugins=plugin, data=data, settings=set_, seed=seed
    )
    typer.echo(run.as_toml(), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON schema of a configuration, with the components that are installed."""
    from fdmo_cli.session import load_registry
    from fdmo_core.config import json_schema

    typer.echo(json.dumps(json_schema(load_registry()), indent=2))
