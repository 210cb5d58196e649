"""``fdmo plugins show``: one component with its settings, or all components of a distribution."""

import json
import textwrap
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from fdmo_cli.options import JsonOption

NameArgument = Annotated[str, typer.Argument(help="A component, or an installed distribution.")]


def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show what a component is, its source, its settings, and where it comes from."""
    from fdmo_cli.plugins.description import describe_component
    from fdmo_cli.session import load_registry

    registry = load_registry()
    supplied = [describe_component(one) for one in registry.of_distribution(name)]
    if supplied:
        if as_json:
            typer.echo(json.dumps({"distribution": name, "components": supplied}))
        else:
            typer.echo("\n\n".join("\n".join(_brief(one)) for one in supplied))
        return
    described = describe_component(registry.find(name))
    typer.echo(json.dumps(described) if as_json else "\n".join(_full(described)))


def _heading(one: dict[str, Any]) -> str:
    from fdmo_core.component_origins import describe_origin

    origin = describe_origin(one["distribution"], one["version"])
    return f"{one['name']} ({one['kind']} of {origin})"


def _brief(one: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a component among others."""
    yield _heading(one)
    yield from _wrapped(one["summary"], "  ")
    for source in one["source"]:
        yield from _wrapped(source, "  ")


def _full(one: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a component alone."""
    yield _heading(one)
    for paragraph in one["description"]:
        yield from ("", *_wrapped(paragraph))
    if one["source"]:
        yield ""
    for source in one["source"]:
        yield from _wrapped(source)
    yield ""
    yield f"File: {one['file']}:{one['line']}" if one["file"] else "File: unknown"
    yield "Chosen in: " + ", ".join(f"[{section}]" for section in one["sections"])
    yield from ("", "Settings:" if one["settings"] else "Settings: none")
    for field in one["settings"]:
        yield from _setting(field)
    yield from ("", "Example:", f"  {one['example']}")


def _setting(field: dict[str, Any]) -> Iterator[str]:
    from fdmo_cli.plugins.description import describe_limits

    default = "required" if field["required"] else f"default {json.dumps(field['default'])}"
    facts = (field["type"], default, describe_limits(field["constraints"]))
    yield from _wrapped(f"{field['key']}: {'; '.join(one for one in facts if one)}", "  ")
    yield from _wrapped(field["description"], "    ")


def _wrapped(text: str, indent: str = "") -> list[str]:
    """Return text in lines as wide as the terminal; a longer word keeps its whole length."""
    from rich.console import Console

    return textwrap.wrap(
        text,
        Console().width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
