"""What the command line changes in a configuration."""

import tomllib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fdmo_core.config import RunConfig
from fdmo_core.errors import ConfigError
from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.registry import Registry

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
FEATURE_SUFFIXES = (".npz", ".npy", ".safetensors")
DATA_SECTIONS = ("data", "loading", "metrics")  # what may differ after training


def override(
    content: Mapping[str, Any],
    registry: Registry,
    *,
    plugins: Iterable[str] = (),
    data: str | None = None,
    settings: Iterable[str] = (),
    seed: int | None = None,
) -> dict[str, Any]:
    """Return the configuration with the changes of the command line.

    A component that replaces another one starts from its own defaults: the options of the replaced
    one are not for it.

    Args:
        content: What the TOML file held.
        registry: Where ``plugins`` are found.
        plugins: Names of components.
        data: Name of a data set, or else a folder with one folder a class, a table of images, or
            a file of features.
        settings: Such as ``phase1.epochs=3``; applied last.
        seed: Of the run.

    Raises:
        ConfigError: A name is unknown, a folder is not there, or a setting is not
            ``section.key=value``.
    """
    changed: dict[str, Any] = deepcopy(dict(content))
    chosen: dict[str, str] = {}
    for name in plugins:
        kind = registry.find(name).kind
        if chosen.setdefault(kind.name, name) != name:
            raise ConfigError(
                f"--plugin names two components of the kind {kind.name}: '{chosen[kind.name]}' and "
                f"'{name}'. Expected one of each kind. Leave one out."
            )
        for section in kind.sections:
            _choose(changed, section, name)
    if data is not None:
        _choose_data(changed, registry, data)
    if seed is not None:
        changed["seed"] = seed
    for setting in sorted(settings, key=_is_option):  # a component first, then its options
        _set(changed, setting)
    return changed


def _is_option(setting: str) -> bool:
    return not setting.partition("=")[0].strip().endswith(".name")


def _choose(content: dict[str, Any], section: str, name: str) -> None:
    if _table(content, section).get("name") != name:
        content[section] = {"name": name}


def _choose_data(content: dict[str, Any], registry: Registry, data: str) -> None:
    names = [one.name for one in registry.components(KIND_OF_SECTION["data"])]
    if data in names:
        _choose(content, "data", data)
    elif Path(data).is_dir():
        _choose(content, "data", "folder")
        content["data"]["root"] = data
    elif (component := _by_suffix(data)) and Path(data).is_file():
        _choose(content, "data", component)
        content["data"]["file"] = data
    else:
        close = get_close_matches(data, names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        failed = "".join(f" {str(failure).rstrip('.')}." for failure in registry.failures)
        raise ConfigError(
            f"'{data}' is neither a folder, a table, a file of features nor a data set. Expected a "
            f"folder with one folder a class, a .csv, .tsv or .parquet table of images, a .npz, "
            f".npy or .safetensors file of features, or one of: {', '.join(names)}.{hint} Correct "
            f"--data.{failed}"
        )


def _by_suffix(data: str) -> str | None:
    """Return the data set that reads files of such an ending; .parquet is a table of images."""
    suffix = Path(data).suffix.lower()
    if suffix in TABLE_SUFFIXES:
        return "table"
    return "features" if suffix in FEATURE_SUFFIXES else None


def _table(content: dict[str, Any], section: str) -> dict[str, Any]:
    """Return a section as a table that may be changed, with its default name."""
    if section in KIND_OF_SECTION and section not in content:
        content[section] = dict(RunConfig.model_fields[section].default)
    table = content.setdefault(section, {})
    if not isinstance(table, dict):
        raise ConfigError(
            f"'{section}' is {table!r}. Expected a table of settings. Write it as [{section}]."
        )
    if section in KIND_OF_SECTION:
        table.setdefault("name", RunConfig.model_fields[section].default["name"])
    return table


def _set(content: dict[str, Any], setting: str) -> None:
    path, equals, text = setting.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys) or len(keys) > 2:
        raise ConfigError(
            f"'--set {setting}' is not a setting. Expected section.key=value, or seed=value. For "
            f"instance: --set phase1.epochs=3"
        )
    try:
        table = tomllib.loads(f"value = {text}")
        value = table["value"] if len(table) == 1 else text
    except (tomllib.TOMLDecodeError, RecursionError):
        value = text  # a word without quotes
    if len(keys) == 1:
        if keys[0] in KIND_OF_SECTION and not isinstance(value, dict):
            raise ConfigError(
                f"'--set {setting}' gives the section [{keys[0]}] a single value. Expected "
                f"section.key=value. Write --set {keys[0]}.name={text} to choose a component."
            )
        content[keys[0]] = value
    elif keys[0] in KIND_OF_SECTION and keys[1] == "name":
        _choose(content, keys[0], value)
    else:
        _table(content, keys[0])[keys[1]] = value


def require_data_settings(settings: Iterable[str]) -> None:
    """Raise a ConfigError for a setting that a finished run cannot follow any more.

    Args:
        settings: Such as ``data.root=images``.
    """
    for setting in settings:
        section = setting.partition(".")[0]
        if section not in DATA_SECTIONS or setting.startswith("data.image_size"):
            raise ConfigError(
                f"'--set {setting}' would change a run that is trained already. Expected a "
                f"setting of: {', '.join(DATA_SECTIONS)} (not data.image_size). Leave it out, or "
                f"train again with it."
            )
