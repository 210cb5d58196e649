"""From an experiment and the command line to the configurations of its cells."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdmo_cli.overrides import override
from fdmo_cli.presets import preset_file
from fdmo_cli.reproduction.definitions import CellSettings, Experiment
from fdmo_core.config import read_toml, resolve_run
from fdmo_core.errors import ConfigError
from fdmo_core.experiments import Cell
from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.registry import Registry


@dataclass(frozen=True)
class Changes:
    """What the command line changes in every cell.

    Attributes:
        data: Name of a data set, or the folder with the files of the preset's data set.
        plugins: Names of components.
        settings: Such as ``phase1.epochs=1``.
    """

    data: str
    plugins: Sequence[str] = ()
    settings: Sequence[str] = ()


def make_cells(
    experiment: Experiment, registry: Registry, changes: Changes, *, seed: int, folder: Path
) -> dict[str, Cell]:
    """Return the cells of one seed, by name.

    Args:
        experiment: Which rows there are.
        registry: Where components are found.
        changes: Of the command line.
        seed: Of all these cells.
        folder: Above the run folders of this seed.

    Raises:
        ConfigError: A setting is wrong, or changes what the rows vary.
    """
    _require_free(experiment, registry, changes)
    return {
        name: Cell(
            name,
            resolve_run(_content(cell, experiment, registry, changes, seed), registry),
            folder / name,
        )
        for name, cell in experiment.cells.items()
    }


def default_folder(experiment: Experiment, registry: Registry, changes: Changes) -> Path:
    """Return the folder of all experiments that start from one preset and one data set."""
    is_other = changes.data in _data_sets(registry) and changes.data != experiment.preset
    name = f"{experiment.preset}-{changes.data}" if is_other else experiment.preset
    return Path("runs", "reproduce", name)


def describe_changes(experiment: Experiment, registry: Registry, changes: Changes) -> list[str]:
    """Return a sentence for each way in which the runs are not those of the paper."""
    sentences = []
    if changes.data in _data_sets(registry) and changes.data != experiment.preset:
        sentences.append(
            f"The data set here is {changes.data}, so the paper's figures say nothing about it."
        )
    if count := len(changes.plugins) + len(changes.settings):
        sentences.append(f"{count} change(s) by --plugin or --set, in every run.")
    return sentences


def _content(
    cell: CellSettings, experiment: Experiment, registry: Registry, changes: Changes, seed: int
) -> dict[str, Any]:
    """Return a cell's configuration: its preset, then the command line, then what makes it."""
    content = read_toml(preset_file(cell.preset or experiment.preset))
    content["data"] = read_toml(preset_file(experiment.preset))["data"]
    is_named = changes.data in _data_sets(registry)
    if not is_named:
        _require_folder(changes.data, experiment, registry)
        content["data"]["root"] = changes.data
    return override(
        content,
        registry,
        plugins=changes.plugins,
        data=changes.data if is_named else None,
        settings=[*_fitting(changes.settings, content), *cell.settings],
        seed=seed,
    )


def _fitting(settings: Iterable[str], preset: Mapping[str, Any]) -> list[str]:
    """Return the settings without files of weights for streams that the preset starts anew."""
    anew = {
        f"{name}.weights_file"
        for name in ("texture_stream", "shape_stream")
        if preset[name].get("weights") == "none"
    }
    return [one for one in settings if one.partition("=")[0].strip() not in anew]


def _data_sets(registry: Registry) -> list[str]:
    return [one.name for one in registry.components(KIND_OF_SECTION["data"])]


def _require_folder(data: str, experiment: Experiment, registry: Registry) -> None:
    if not Path(data).is_dir():
        raise ConfigError(
            f"'{data}' is neither a folder nor a data set. Expected the folder with the files of "
            f"{experiment.preset}, or one of: {', '.join(_data_sets(registry))}. Correct --data."
        )


def _require_free(experiment: Experiment, registry: Registry, changes: Changes) -> None:
    """Raise a ConfigError if the command line changes what makes a row what it says."""
    varied = {"seed"} | {
        setting.partition("=")[0]
        for cell in experiment.cells.values()
        for setting in cell.settings
        if cell.preset is None  # a baseline varies nothing: it lacks a part
    }
    chosen = {key.partition(".")[0] for key in varied if key.endswith(".name")}
    for setting in changes.settings:
        key = setting.partition("=")[0].strip()
        if key in varied or key.partition(".")[0] in chosen:
            _refuse(f"--set {setting}", experiment)
    for plugin in changes.plugins:
        if set(registry.find(plugin).kind.sections) & chosen:
            _refuse(f"--plugin {plugin}", experiment)


def _refuse(option: str, experiment: Experiment) -> None:
    raise ConfigError(
        f"'{option}' changes what the rows of {experiment.name} say of themselves. Expected a "
        f"change that suits all rows. Leave it out, or train the run that you mean with 'fdmo "
        f"train --config {experiment.preset}'."
    )
