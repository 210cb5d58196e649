"""``fdmo export onnx --part generator``: a run's generator and dictionary, for other trainers."""

import json
from collections.abc import Sequence
from pathlib import Path

import typer


def write_generator(
    run: Path,
    folder: Path,
    *,
    lender: Path | None,
    overwrite: bool,
    unused: Sequence[str],
    as_json: bool,
) -> None:
    """Write the files, and say what was compared.

    Args:
        run: A run folder.
        folder: Where to write.
        lender: Folder of the run that phase 1 is from, if it is another's.
        overwrite: Whether files may be replaced.
        unused: Options that were given and mean something for a classifier only.
        as_json: Whether to print JSON.

    Raises:
        ConfigError: There are such options.
    """
    from fdmo_cli.progress import ProgressBars
    from fdmo_cli.session import load_registry
    from fdmo_core.errors import ConfigError
    from fdmo_core.journal import Journal
    from fdmo_core.manifest import list_anew
    from fdmo_export.onnxruntime_package import import_onnxruntime

    if unused:
        raise ConfigError(
            f"{' and '.join(unused)} would change how a classifier is exported. Expected none of "
            f"it with --part generator, which takes everything from the run. Leave it out."
        )
    import_onnxruntime()  # before anything that takes long
    from fdmo_export.generator_part import export_generator

    registry = load_registry(run, lender)
    with ProgressBars(quiet=as_json) as bars, Journal(show=bars.show, say=bars.say) as journal:
        report = export_generator(
            run, registry, folder, journal=journal, lender=lender, overwrite=overwrite
        )
    list_anew(run, "export")
    if as_json:
        files = {"generator": str(report.generator), "dictionary": str(report.dictionary)}
        typer.echo(json.dumps(report.as_dict() | files))
        return
    for one in report.parity:
        differences = ", ".join(f"{name} {value:.1e}" for name, value in one.differences.items())
        typer.echo(
            f"Batch of {one.batch_size:>2} with {one.samples} drawn: largest difference: "
            f"{differences}"
        )
    for path in (report.generator, report.dictionary):
        typer.echo(f"Wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)")
