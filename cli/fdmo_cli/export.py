"""``fdmo export``: files for other applications."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fdmo_cli.options import DataOption, JsonOption, SetOption

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Keep ``onnx`` a command of its own, though it is the only one so far."""


@app.command()
def onnx(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; default: RUN/export/model.onnx.")
    ] = None,
    data: DataOption = None,
    set_: SetOption = None,
    preprocessing: Annotated[
        bool,
        typer.Option(help="Whether the file takes whole images, or letterboxed ones."),
    ] = True,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        typer.Option(help="Of weights and sums; a lower one must answer nearly as well."),
    ] = "fp32",
    as_json: JsonOption = False,
) -> None:
    """Write a run as one ONNX file, and prove that it answers as the run does."""
    from fdmo_cli.overrides import require_data_settings
    from fdmo_cli.session import change_run, load_registry
    from fdmo_core.data import align_classes, open_data, require_input
    from fdmo_core.run_folder import load_run
    from fdmo_export.runtime import import_onnxruntime
    from fdmo_export.write import ExportOptions, export_run

    import_onnxruntime()
    require_data_settings(set_ or ())
    registry = load_registry()
    trained = load_run(run, registry)
    source = change_run(trained.run.as_dict(), registry, data=data, settings=set_)
    path = out or run / "export" / "model.onnx"
    splits = open_data(source)
    require_input(splits, trained.feature_dim)
    options = ExportOptions(preprocessing=preprocessing, precision=precision)
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
    for line in report.precision.lines():
        typer.echo(line)
    if precision == "fp16":
        typer.echo("fp16 is for GPUs: a CPU computes it no faster than fp32, or slower", err=True)
    typer.echo(f"Wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)")
    typer.echo(f"Next: fdmo evaluate {path}")
