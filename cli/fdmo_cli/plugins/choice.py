"""The options that every command has: which plugins are loaded, and from where."""

import os
from collections.abc import Sequence
from typing import Annotated

import typer

NO_PLUGIN, PLUGINS_DIR = "--no-plugin", "--plugins-dir"

NoPluginOption = Annotated[
    list[str] | None,
    typer.Option(
        NO_PLUGIN,
        metavar="DIST",
        help="Leave out a plugin, by its distribution or name; repeatable, before or after the "
        "command.",
    ),
]
PluginsDirOption = Annotated[
    list[str] | None,  # a path would make the current folder of an empty text
    typer.Option(
        PLUGINS_DIR,
        metavar="DIR",
        help="Folder in which each Python file is a plugin; repeatable, before or after the "
        "command.",
    ),
]


def choose_plugins(no_plugin: NoPluginOption = None, plugins_dir: PluginsDirOption = None) -> None:
    """Add the options to the environment, where this process and its workers read them."""
    for option, values in ((NO_PLUGIN, no_plugin), (PLUGINS_DIR, plugins_dir)):
        if "" in (values or ()):
            raise typer.BadParameter(
                f"{option} is empty. Expected a name. Leave the option out, or see why a variable "
                f"that it is taken from is not set."
            )
    folders = [os.path.abspath(one) for one in plugins_dir or ()]  # noqa: PTH100
    _add("FDMO_NO_PLUGIN", no_plugin or [], ",")
    _add("FDMO_PLUGINS_DIR", folders, os.pathsep)


def _add(variable: str, values: list[str], separator: str) -> None:
    given = [one for one in [os.environ.get(variable, ""), *values] if one]
    if given:
        os.environ[variable] = separator.join(given)


def to_the_front(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the options of every command before the command's name.

    There they are parsed, once for all commands. An option without its value comes back alone, so
    that the parser says what is missing.
    """
    moved, others, rest = list[str](), list[str](), iter(arguments)
    for one in rest:
        if one == "--":
            return [*moved, *others, one, *rest]
        if one in (NO_PLUGIN, PLUGINS_DIR):
            value = next(rest, None)
            if value is None:
                return [one]
            moved += [one, value]
        elif one.startswith((f"{NO_PLUGIN}=", f"{PLUGINS_DIR}=")):
            moved.append(one)
        else:
            others.append(one)
    return [*moved, *others]
