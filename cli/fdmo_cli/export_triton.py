"""``fdmo export triton``: a model repository for NVIDIA's Triton server."""

from pathlib import Path
from typing import Annotated

import typer

from fdmo_cli.options import DataOption, SetOption


def triton(
    source: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run folder, or a file of 'fdmo export onnx'."),
    ],
    out: Annotated[Path, typer.Argument(help="Model repository; it is made.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Of the model; default: the name of RUN.")
    ] = None,
    max_batch: Annotated[
        int,
        typer.Option(
            "--max-batch", min=0, help="0: the server joins no requests, but takes the dials."
        ),
    ] = 32,
    kind: Annotated[str, typer.Option("--kind", help="Where it runs: auto, cpu or gpu.")] = "auto",
    instances: Annotated[int, typer.Option("--instances", min=1, help="On each device.")] = 1,
    data: DataOption = None,
    set_: SetOption = None,
) -> None:
    """Write a run into a model repository of NVIDIA's Triton server."""
    from tempfile import TemporaryDirectory

    from fdmo_export.triton import TritonOptions, require_room, safe_name, write_repository

    options = TritonOptions(max_batch, kind, instances)
    place = source.resolve()
    name = name or safe_name(place.stem if place.is_file() else place.name)
    require_room(out, name, options)
    with TemporaryDirectory() as folder:
        model = source
        if not source.is_file():
            model = Path(folder, "model.onnx")
            _export(source, model, data=data, settings=set_)
        written = write_repository(model, out, name=name, options=options)
    typer.echo(f"Wrote {written}")
    typer.echo(f"Next: tritonserver --model-repository={out}")


def _export(run: Path, path: Path, *, data: str | None, settings: list[str] | None) -> None:
    """Write a run as an ONNX file."""
    from fdmo_cli.overrides import require_data_settings
    from fdmo_cli.session import change_run, load_registry
    from fdmo_core.data import open_data_for
    from fdmo_core.run_folder import load_run
    from fdmo_export.write import export_run

    require_data_settings(settings or ())
    registry = load_registry(run)
    trained = load_run(run, registry)
    source = change_run(
        trained.run.as_dict(), registry, data=data, settings=settings, is_trained=True
    )
    splits = open_data_for(source, feature_dim=trained.feature_dim, class_names=trained.class_names)
    export_run(trained, splits, path)
