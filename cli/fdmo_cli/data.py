"""``fdmo data``: checks images before they are trained on, and draws look-alikes of data sets."""

import json
import shlex
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fdmo_cli.options import ConfigOption, JsonOption, SeedOption, SetOption

if TYPE_CHECKING:
    from fdmo_core.config import Run
    from fdmo_core.data_report import DataReport
    from fdmo_core.registry import Resolved

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

WHOLE = {"max_unreadable_share": 1.0, "exclude": ""}  # so that all faults are found

DataArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[DATA]", help="Data set by name, a folder of class folders, or a table of images."
    ),
]
ReportOption = Annotated[
    Path | None, typer.Option("--out", help="Write the whole report to this JSON file.")
]


@app.command()
def check(
    data: DataArgument = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    seed: SeedOption = None,
    out: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read every image once and say what is wrong with the data; exit code 1 on errors.

    data.max_unreadable_share and data.exclude do not count here: all faults are listed.
    """
    from fdmo_cli.data_rendering import print_report
    from fdmo_cli.session import load_registry, read_run
    from fdmo_core.files import write_json

    if out is not None:
        _require_folder(out)
    run = read_run(
        load_registry(), config=config, plugins=None, data=data, settings=set_, seed=seed
    )
    report = _checked(run, quiet=as_json)
    if out is not None:
        write_json(out, report.as_dict())
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
    else:
        print_report(report, out)
    if report.faults.count(errors=True):
        raise typer.Exit(1)


def _checked(run: "Run", *, quiet: bool) -> "DataReport":
    from fdmo_cli.progress import ProgressBars
    from fdmo_core.data import open_data
    from fdmo_core.data_check import check_data
    from fdmo_core.journal import Journal

    config = run.data.config
    whole = {name: value for name, value in WHOLE.items() if name in type(config).model_fields}
    run = replace(run, data=replace(run.data, config=config.model_copy(update=whole)))
    splits = open_data(run)
    with ProgressBars(quiet=quiet) as bars:
        journal = Journal(show=bars.show, say=bars.say)
        return check_data(splits, workers=run.core.loading.workers, journal=journal)


def _require_folder(out: Path) -> None:
    """Raise a ConfigError now if the report could not be written after all images were read."""
    from fdmo_core.errors import ConfigError

    if not out.parent.is_dir() or out.is_dir():
        raise ConfigError(
            f"--out is {out}. Expected a file in a folder that exists. Make the folder or choose "
            f"another file."
        )


@app.command()
def lookalike(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Data set by name.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New or empty folder to write to.")],
    images: Annotated[
        int, typer.Option("--images", min=1, help="How many images, over all splits.")
    ] = 600,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides what is drawn.")] = 0,
) -> None:
    """Draw images with annotations in the format of a data set that cannot be handed on."""
    from fdmo_cli.session import load_registry
    from fdmo_core.kinds import KIND_OF_SECTION

    interface = KIND_OF_SECTION["data"].interface
    found: Resolved[Any] = load_registry().resolve(interface, {"name": name})
    is_new = _empty_folder(out)
    try:
        found.component.write_lookalike(out, num_images=images, seed=seed)
    except Exception:
        if is_new:
            with suppress(OSError):  # what was written stays, for whoever looks into it
                out.rmdir()
        raise
    has_root = "root" in type(found.config).model_fields
    root = f" --set {shlex.quote(f'data.root={json.dumps(str(out))}')}" if has_root else ""
    typer.echo(f"Wrote {images} images to {out}\nNext: fdmo data check {name}{root}")


def _empty_folder(out: Path) -> bool:
    """Make a folder, unless it is there and empty; return whether it was made."""
    from fdmo_core.errors import ConfigError

    try:
        if out.is_dir() and not any(out.iterdir()):
            return False
        out.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(
            f"Cannot write to {out}: {error.strerror}. Expected a folder that is not there yet, "
            f"or is empty. Choose another one."
        ) from error
    return True
