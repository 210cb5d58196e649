"""``fdmo export``: files for other applications."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fdmo_cli.export_triton import triton
from fdmo_cli.generator_export import write_generator
from fdmo_cli.options import DataOption, JsonOption, LenderOption, SetOption

DEFAULT_IMAGES = 1000

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Keep each kind of file a command of its own."""


@app.command()
def onnx(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="File to write, a folder for the generator; default: RUN/export/model.onnx.",
        ),
    ] = None,
    part: Annotated[
        Literal["classifier", "generator"],
        typer.Option(help="What of the run: the classifier, or generator and dictionary."),
    ] = "classifier",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there already.")
    ] = False,
    phase1_from: LenderOption = None,
    data: DataOption = None,
    set_: SetOption = None,
    preprocessing: Annotated[
        bool,
        typer.Option(help="Whether the file takes whole images, or letterboxed ones."),
    ] = True,
    max_images: Annotated[
        int,
        typer.Option(
            min=1, help="Validation images at most that prior, thresholds and gate come from."
        ),
    ] = DEFAULT_IMAGES,
    license_: Annotated[
        str, typer.Option("--license", help="Terms of use, written into the file.")
    ] = "",
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        typer.Option(
            help="Of weights and sums: fp16 for GPUs, int8 for a small file on CPUs; both must "
            "answer nearly as well on validation images."
        ),
    ] = "fp32",
    as_json: JsonOption = False,
) -> None:
    """Write a run as one ONNX file, and prove that it answers as the run does.

    The file holds eight images of the data and the run's configuration, paths included.
    """
    if part == "generator":
        changed = {
            "--data": data,
            "--set": set_,
            "--no-preprocessing": not preprocessing,
            "--max-images": max_images != DEFAULT_IMAGES,
            "--precision": precision != "fp32",
            "--license": license_,
        }
        write_generator(
            run,
            out or run / "export",
            lender=phase1_from,
            overwrite=overwrite,
            unused=[name for name, value in changed.items() if value],
            as_json=as_json,
        )
        return
    from fdmo_export.runtime import import_onnxruntime

    import_onnxruntime()
    from fdmo_cli.export_rendering import print_export
    from fdmo_cli.overrides import require_data_settings
    from fdmo_cli.session import change_run, load_registry
    from fdmo_core.data import open_data_for
    from fdmo_core.errors import ConfigError
    from fdmo_core.manifest import list_anew
    from fdmo_core.run_folder import load_run
    from fdmo_export.write import ExportOptions, export_run, make_room

    if phase1_from is not None:
        raise ConfigError(
            f"--phase1-from is {phase1_from}. Expected it with --part generator only; a classifier "
            f"is whole in its run folder. Leave it out."
        )
    require_data_settings(set_ or ())
    options = ExportOptions(
        preprocessing=preprocessing,
        precision=precision,
        max_images=max_images,
        license=license_,
    )
    path = out or run / "export" / "model.onnx"
    registry = load_registry(run)
    trained = load_run(run, registry)
    make_room(path, overwrite=overwrite)
    source = change_run(trained.run.as_dict(), registry, data=data, settings=set_, is_trained=True)
    splits = open_data_for(source, feature_dim=trained.feature_dim, class_names=trained.class_names)
    report = export_run(trained, splits, path, options, overwrite=overwrite)
    list_anew(run, "export")
    if as_json:
        typer.echo(json.dumps(report.as_dict() | {"file": str(path)}))
    else:
        print_export(report)


app.command()(triton)
