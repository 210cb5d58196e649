"""The version of what plugins build on, and what a plugin says it was built for."""

import ast
from pathlib import Path

from fdmo_core.errors import PluginError

API_VERSION = 1  # rises when a plugin of the version before may no longer work
NAME = "FDMO_API"


def require_same_version(file: Path, origin: str) -> None:
    """Raise if a plugin's module is for another version; its code does not run.

    Args:
        file: Source of the module; ``FDMO_API = 1`` on its top level says the version. A module
            without it, and one that is no Python source, counts as built for version 1.
        origin: What messages call the distribution.

    Raises:
        PluginError: The version is another one, or is not written as a number.
    """
    asked = _version_in(file)
    if asked == API_VERSION:
        return
    newer = (
        f"Install a fdmo with version {asked} ('pip install --upgrade fdmo')"
        if asked > API_VERSION
        else f"Install a newer {origin.partition(' ')[0]}"
    )
    raise PluginError(
        f"{origin} is built for version {asked} of fdmo's plugin interface, and the installed fdmo "
        f"has version {API_VERSION}. Expected {NAME} = {API_VERSION} in {file}. {newer}, or leave "
        f"the plugin out with --no-plugin."
    )


def _version_in(file: Path) -> int:
    source = file.read_bytes() if file.suffix == ".py" else b""
    if NAME.encode() not in source:
        return 1
    try:
        tree = ast.parse(source)
    except SyntaxError:  # its import says where
        return API_VERSION
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(one, ast.Name) and one.id == NAME for one in targets):
            return _number(node, file)
    return 1


def _number(node: ast.stmt, file: Path) -> int:
    value = getattr(node, "value", None)
    if isinstance(value, ast.Constant) and type(value.value) is int:
        return value.value
    raise PluginError(
        f"{NAME} in line {node.lineno} of {file} is no whole number. Expected a line such as "
        f"{NAME} = {API_VERSION}, since it is read before the plugin's code runs. Write the number."
    )
