"""``fdmo verify``: is an exported file whole, and does it answer here as it must?"""

import json
from pathlib import Path
from typing import Annotated

import typer

from fdmo_cli.options import JsonOption


def verify(
    model: Annotated[Path, typer.Argument(help="An exported ONNX file.")],
    provider: Annotated[
        list[str] | None,
        typer.Option(
            "--provider", help="cpu, cuda or tensorrt; repeatable; default: each that is usable."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a file's digest and structure, and run its golden examples on this machine."""
    from fdmo_cli.export_rendering import print_verification
    from fdmo_export.verify import require_answers, verify_file

    found = verify_file(model, provider or ())
    if as_json:
        typer.echo(json.dumps(found.as_dict()))
    else:
        print_verification(found)
    require_answers(found)
