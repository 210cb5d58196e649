"""``fdmo export``: files for other applications."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fdmo_cli.generator_export import write_generator
from fdmo_cli.options import DataOption, JsonOption, LenderOption, SetOption

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Keep ``onnx`` a command of its own, though it is the only one so far."""


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
    as_json: JsonOption = False,
) -> None:
    """Write a run as one ONNX file, and prove that it answers as the run does."""
    if part == "generator":
        changed = {"--data": data, "--set": set_, "--no-preprocessing": not preprocessing}
        write_generator(
            run,
            out or run / "export",
            lender=phase1_from,
            overwrite=overwrite,
            unused=[name for name, value in changed.items() if value],
            as_json=as_json,
        )
        return
    from fdmo_cli.overrides import require_data_settings
    from fdmo_cli.session import change_run, load_registry
    from fdmo_core.data import align_classes, open_data, require_input
    from fdmo_core.errors import ConfigError
    from fdmo_core.run_folder import load_run
    from fdmo_export.runtime import import_onnxruntime
    from fdmo_export.write import ExportOptions, export_run

    if phase1_from is not None:
        raise ConfigError(
            f"--phase1-from is {phase1_from}. Expected it with --part generator only; a classifier "
            f"is whole in its run folder. Leave it out."
        )
    import_onnxruntime()
    require_data_settings(set_ or ())
    registry = load_registry()
    trained = load_run(run, registry)
    source = change_run(trained.run.as_dict(), registry, data=data, settings=set_)
    path = out or run / "export" / "model.onnx"
    splits = open_data(source)
    require_input(splits, trained.feature_dim)
    options = ExportOptions(preprocessing=preprocessing)
    report = export_run(trained, align_classes(splits, trained.class_names), path, options)
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
        return
    for one in report.parity.network:
        differences = ", ".join(f"{name} {value:.1e}" for name, value in one.differences.items())
        typer.echo(
            f"Batch of {one.batch_size:>2} {report.parity.split} samples: {one.label_flips} classes flip; "
            f"largest difference: {differences}"
        )
    typer.echo(f"Wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)")
    typer.echo(f"Next: fdmo evaluate {path}")
