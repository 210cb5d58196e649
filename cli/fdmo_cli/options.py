"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Run configuration (TOML file), or a preset: deepfashion, deepfashion2, features, "
        "zhang; default: all defaults.",
    ),
]
PluginOption = Annotated[
    list[str] | None,
    typer.Option("--plugin", help="Pick a component by name, whatever its kind; repeatable."),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="Data set by name, folder of class folders, table of images, or file of features.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one setting: section.key=value; repeatable."),
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Decides everything drawn.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
DeterministicOption = Annotated[
    bool | None,
    typer.Option(
        "--deterministic/--no-deterministic",
        help="Only operations that repeat themselves bit for bit; default: on a CPU.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
LenderOption = Annotated[
    Path | None,
    typer.Option("--phase1-from", help="Run folder that the run took its phase 1 from, if any."),
]
