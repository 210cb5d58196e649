"""``fdmo features``: features of images as a file, to train and to compare on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fdmo_cli.options import (
    ConfigOption,
    DataOption,
    DeviceOption,
    PluginOption,
    SeedOption,
    SetOption,
)

if TYPE_CHECKING:
    from fdmo_core.config import Run
    from fdmo_core.extraction import FeatureSource

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

SUFFIX = ".safetensors"


@app.callback()
def group() -> None:
    """Keep ``extract`` a command of its own, though it is the only one so far."""


@app.command()
def extract(
    out: Annotated[Path, typer.Option("--out", help="The .safetensors file to write.")],
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="A run folder, whose network computes the features."),
    ] = None,
    config: ConfigOption = None,
    plugin: PluginOption = None,
    data: DataOption = None,
    set_: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Write the features of all images of a data set, with labels, splits and sources.

    Without RUN they are the conv map of the texture stream's extractor, averaged over positions;
    nothing is trained. Started again after an interruption, it goes on. Under torchrun the
    processes share the images.
    """
    from fdmo_cli.progress import ProgressBars
    from fdmo_cli.session import choose_device
    from fdmo_core.compute import Compute
    from fdmo_core.data import open_data
    from fdmo_core.errors import ConfigError
    from fdmo_core.extraction import extract_to_file
    from fdmo_core.journal import Journal
    from fdmo_core.world import joined_world

    if out.suffix != SUFFIX:
        raise ConfigError(
            f"--out is {out}. Expected a file that ends in {SUFFIX}. Rename it; 'fdmo train --data "
            f"{out.with_suffix(SUFFIX)}' then reads it."
        )
    if run is None:
        described, source = _extractor(config, plugin, data, set_, seed)
    else:
        if config is not None or plugin or seed is not None:
            raise ConfigError(
                f"The features are those of {run}, and --config, --plugin or --seed would describe "
                f"others. Expected --data and --set alone. Leave RUN or the others out."
            )
        described, source = _trained(run, data, set_)
    chosen = choose_device(device)
    with joined_world(chosen) as world, ProgressBars(quiet=not world.is_first) as bars:
        compute = Compute(chosen, described.core.compute, world)
        journal = Journal(show=bars.show, say=bars.say)
        splits = open_data(described)
        extract_to_file(source, splits, out, described, compute=compute, journal=journal)
    if world.is_first:
        rows = sum(len(split.labels) for split in splits.named().values())
        typer.echo(
            f"Wrote {rows} rows of {sum(source.stream_dims)} features to {out}\n"
            f"Next: fdmo train --data {out}"
        )


def _extractor(
    config: Path | None,
    plugins: list[str] | None,
    data: str | None,
    settings: list[str] | None,
    seed: int | None,
) -> "tuple[Run, FeatureSource]":
    from fdmo_cli.session import load_registry, read_run
    from fdmo_core.extraction import extractor_source

    described = read_run(
        load_registry(), config=config, plugins=plugins, data=data, settings=settings, seed=seed
    )
    return described, extractor_source(described)


def _trained(
    folder: Path, data: str | None, settings: list[str] | None
) -> "tuple[Run, FeatureSource]":
    from fdmo_cli.overrides import require_data_settings
    from fdmo_cli.session import change_run, load_registry
    from fdmo_core.extraction import network_source
    from fdmo_core.run_folder import load_run

    require_data_settings(settings or ())
    registry = load_registry(folder)
    trained = load_run(folder, registry)
    described = change_run(
        trained.run.as_dict(), registry, data=data, settings=settings, is_trained=True
    )
    return described, network_source(trained.model)
