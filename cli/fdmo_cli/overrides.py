"""What the command line changes in a configuration."""

import tomllib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from fdmo_core.config import RunConfig
from fdmo_core.errors import ConfigError
from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.registry import Registry


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
        data: Name of a data set, or a folder with one folder a class.
        settings: Such as ``phase1.epochs=3``; applied last.
        seed: Of the run.

    Raises:
        ConfigError: A name is unknown, or a setting is not ``section.key=value``.
    """
    changed: dict[str, Any] = deepcopy(dict(content))
    for name in plugins:
        for section in registry.find(name).kind.sections:
            _choose(changed, section, name)
    if data is not None:
        if Path(data).is_dir():
            changed["data"] = {"name": "folder", "root": data}
        else:
            _choose(changed, "data", data)
    if seed is not None:
        changed["seed"] = seed
    for setting in settings:
        _set(changed, setting)
    return changed


def _choose(content: dict[str, Any], section: str, name: str) -> None:
    if _table(content, section).get("name") != name:
        content[section] = {"name": name}


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
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        value = text  # a word without quotes
    if len(keys) == 1:
        content[keys[0]] = value
    else:
        _table(content, keys[0])[keys[1]] = value
