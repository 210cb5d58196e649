"""``fdmo diagnose``: what a run's features say of the imbalance, and what would help."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fdmo_cli.options import (
    ConfigOption,
    DataOption,
    DeviceOption,
    JsonOption,
    LenderOption,
    PluginOption,
    SeedOption,
    SetOption,
)

if TYPE_CHECKING:
    import torch

    from fdmo_core.config import Run
    from fdmo_core.feature_space import FeatureSpace
    from fdmo_core.journal import Journal

TargetArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[TARGET]", help="A run folder, or a file of features; or use --data."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", help="Folder for phase 1 where it is trained; default: runs/DATA-NUMBER."
    ),
]


def diagnose(
    target: TargetArgument = None,
    config: ConfigOption = None,
    plugin: PluginOption = None,
    data: DataOption = None,
    set_: SetOption = None,
    seed: SeedOption = None,
    out: OutOption = None,
    phase1_from: LenderOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Say how imbalanced data is, which classes suffer, and what would help, by validation alone.

    A run folder is taken as it is. Of other data phase 1 is trained first, which may take long.
    """
    from fdmo_cli.diagnosis_rendering import print_diagnosis
    from fdmo_cli.progress import ProgressBars
    from fdmo_cli.session import choose_device, load_registry, read_run
    from fdmo_core.diagnosis.diagnosis import diagnose as diagnose_space
    from fdmo_core.diagnosis.remedies import fine_tuning_runs
    from fdmo_core.journal import Journal
    from fdmo_core.run_folder import create_run_folder
    from fdmo_core.trained_phases import open_space

    _check(target, config, plugin, data, set_, seed, out, phase1_from)
    started = time.perf_counter()
    folder = target if target is not None and not target.is_file() else None
    registry, chosen_device = load_registry(folder, phase1_from), choose_device(device)
    with ProgressBars(quiet=as_json) as bars, Journal(show=bars.show, say=bars.say) as journal:
        if folder is not None:
            run, space = open_space(folder, registry, chosen_device, journal, lender=phase1_from)
        else:
            source = data if target is None else str(target)
            run = read_run(
                registry, config=config, plugins=plugin, data=source, settings=set_, seed=seed
            )
            folder = create_run_folder(out, data=run.data.config.name)
            space = _learn(run, folder, chosen_device, journal)
        found = diagnose_space(
            space,
            fine_tuning_runs(run, registry),
            seed=run.core.seed,
            device=chosen_device,
            journal=journal,
        )
    seconds = time.perf_counter() - started
    if as_json:
        content = {"run": str(folder), "seconds": round(seconds, 1), **found.as_dict()}
        typer.echo(json.dumps(content))
        return
    print_diagnosis(found, title=str(folder))
    typer.echo(f"Took {seconds:.0f} s. Phase 1: {folder}")


def _learn(run: "Run", folder: Path, device: "torch.device", journal: "Journal") -> "FeatureSpace":
    """Train phase 1 and return its features without those of the test split."""
    from fdmo_core.compute import Compute
    from fdmo_core.space_learning import learn_space
    from fdmo_core.trained_phases import without_test

    compute = Compute(device, run.core.compute)
    return without_test(learn_space(run, folder, compute=compute, journal=journal))


def _check(target: Path | None, *options: object) -> None:
    """Raise a ConfigError for options that do not fit what is diagnosed."""
    from fdmo_core.errors import ConfigError

    names = ("--config", "--plugin", "--data", "--set", "--seed", "--out", "--phase1-from")
    given = [name for name, value in zip(names, options, strict=True) if value is not None]
    if target is None or target.is_file():
        wrong = [name for name in given if name == "--phase1-from" or (target and name == "--data")]
        what = "Phase 1 is trained here"
    else:
        wrong = [name for name in given if name != "--phase1-from"]
        what = f"{target} is not a file, so it is taken for a run folder"
    if wrong:
        raise ConfigError(
            f"{what}, where {', '.join(wrong)} has no meaning. Expected options that have. Leave "
            f"it out, or 'fdmo diagnose --data DATA' for data that no run was trained on."
        )
