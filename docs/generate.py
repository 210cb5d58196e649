"""Writes the two generated pages, configuration.md and cli.md: ``python docs/generate.py``.

tests/test_docs.py compares what the functions here return with the files.
"""

import inspect
import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from typer.models import ArgumentInfo, CommandInfo, OptionInfo, TyperInfo

from fdmo_cli.main import app
from fdmo_core.config import RunConfig
from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.plugin_loading import OWN_DISTRIBUTION, load_plugins
from fdmo_core.registry import Registry

FOLDER = Path(__file__).parent
MARK = "<!-- Written by docs/generate.py: change the code it describes, then run it again. -->"

CONFIGURATION_HEAD = f"""{MARK}

# Configuration

One TOML file describes one run. Every key has a default, so an empty file is a valid one. The
settings of a run, defaults included, are printed by `fdmo config show`; the same as a JSON schema,
with the components that are installed, by `fdmo config schema`. `fdmo train` writes the settings
that it used into `config.toml` of the run folder.

Three ways to change a setting, the later one wins:

1. in the file: `fdmo train --config run.toml`;
2. a component by its name, whatever its kind: `fdmo train --plugin focal`;
3. one key: `fdmo train --set phase1.epochs=3`.

A component that replaces another one starts from its own defaults. Unknown keys, wrong types and
values out of range are refused before anything is read, all of them at once, a line each. Some
keys also constrain each other (`metrics.few_below` may not be above `metrics.many_above`, for
instance); the message then names both.

The sections of components (those with a `name`) take the keys of the chosen component; without a
name they are for the default one. The ones below are of the components that fdmo brings;
`fdmo config schema` has those of your plugins too.
"""

CLI_HEAD = f"""{MARK}

# Command line

Every command takes `--help`, or `-h`. Results go to stdout, progress bars, notices and errors to
stderr. The exit code is 0 for success, 1 for an error that a person can act on (one message, no
traceback) and 2 for arguments that do not parse.

Which plugins are loaded is the same question for every command, so these options stand before or
after any command's name; a command that loads none has no use for them. The environment says the
same to worker processes.

| option | in the environment | what it does |
|---|---|---|
| `--no-plugin DIST` | `FDMO_NO_PLUGIN=a,b` | leaves a plugin out, by its distribution or name; \
repeatable |
| `--plugins-dir DIR` | `FDMO_PLUGINS_DIR=DIR`, several as in `PATH` | takes each Python file \
there as a plugin, except `_*.py`; repeatable |
| | `FDMO_PLUGINS=a,b` | loads only these besides fdmo's own |
| | `FDMO_STRICT_PLUGINS=1` | makes any plugin that cannot be loaded fatal |
"""

Schema = dict[str, Any]
Command = CommandInfo | TyperInfo


def configuration_page() -> str:
    """Return the page of every setting: key, type, default, constraint, description."""
    registry = Registry(load_plugins())
    parts = [CONFIGURATION_HEAD, "## Top level\n", _table({"seed": _properties(RunConfig)["seed"]})]
    for section, field in RunConfig.model_fields.items():
        if section in KIND_OF_SECTION:
            parts.append(
                f"## `[{section}]`\n\n{field.description} Kind: "
                f"{KIND_OF_SECTION[section].name}. Default: `{field.default['name']}`.\n"
            )
            parts += _components(registry, section)
        elif isinstance(field.default, BaseModel):
            parts.append(f"## `[{section}]`\n\n{_first_line(type(field.default))}\n")
            parts.append(_table(_properties(type(field.default))))
    return "\n".join(parts)


def _components(registry: Registry, section: str) -> Iterator[str]:
    for one in registry.components(KIND_OF_SECTION[section]):
        if one.distribution != OWN_DISTRIBUTION:
            continue
        yield f'### `{section}.name = "{one.name}"`\n\n{one.summary}\n'
        if section == "shape_stream":
            yield "The keys are those of `[texture_stream]` above.\n"
        else:
            yield _table(_properties(one.component.config_class))


def _properties(config_class: type[BaseModel]) -> dict[str, Schema]:
    properties: dict[str, Schema] = config_class.model_json_schema()["properties"]
    return properties


def _first_line(config_class: type[BaseModel]) -> str:
    return (inspect.getdoc(config_class) or "").partition("\n")[0]


def _table(properties: dict[str, Schema]) -> str:
    ordered = sorted(properties.items(), key=lambda item: item[0] != "name")  # the rest stays
    lines = ["| key | type | default | constraint | description |", "|---|---|---|---|---|"]
    for key, schema in ordered:
        if "const" in schema:
            schema = {**schema, "description": "Chooses this component."}
        cells = (
            f"`{key}`",
            _type(schema),
            f"`{json.dumps(schema['default'])}`",
            _constraint(schema),
            schema["description"],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _type(schema: Schema) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])} {_plural(schema['prefixItems'][0])}"
    if schema["type"] == "array":
        return f"list of {_plural(schema['items'])}"
    return {"boolean": "true or false"}.get(schema["type"], str(schema["type"]))


def _plural(schema: Schema) -> str:
    return f"{schema['type']}s"


def _constraint(schema: Schema) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    if "const" in schema or "anyOf" in schema:
        return ""
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    limits = [f"{text} {_number(schema[word])}" for word, text in words.items() if word in schema]
    if schema["type"] == "array":
        item = schema.get("items") or schema["prefixItems"][0]
        limits = [f"{text} {_number(item[word])}" for word, text in words.items() if word in item]
        limits[:1] = [f"each {one}" for one in limits[:1]]
        if "prefixItems" not in schema and "minItems" in schema:
            limits.insert(0, f"{schema['minItems']} or more of them")
    return ", ".join(limits)


def _number(value: float) -> str:
    return f"{int(value) if value == int(value) else value:,}"


def cli_page() -> str:
    """Return the page of every command: usage, what it does, arguments and options."""
    parts = [CLI_HEAD]
    if app.registered_callback is not None:
        parts.append("## Options of every command\n")
        parts += _parameter_table(app.registered_callback)
    for name, command in commands(app, "fdmo").items():
        rows = list(parameters(command))
        usage = " ".join([name, *(row[0] for row in rows if row[0].isupper())])
        usage += " [OPTIONS]" if any(row[0].startswith("-") for row in rows) else ""
        parts.append(f"## `{name}`\n\n{inspect.getdoc(command.callback)}\n")
        parts.append(f"```text\n{usage}\n```\n")
        parts += _parameter_table(command)
    return "\n".join(parts)


def _parameter_table(command: Command) -> Iterator[str]:
    rows = [f"| `{one}` | {kind} | {text} |" for one, kind, text in parameters(command)]
    if rows:
        yield "| argument or option | value | help |\n|---|---|---|"
        yield "\n".join(rows)
        yield ""


def commands(group: typer.Typer, prefix: str) -> dict[str, Command]:
    """Return the commands of a Typer app by their full name, in order of registration.

    A group that does something by itself, as ``fdmo plugins``, is one of them.
    """
    found: dict[str, Command] = {}
    for command in group.registered_commands:
        assert command.callback is not None
        found[f"{prefix} {command.name or command.callback.__name__}"] = command
    for nested in group.registered_groups:
        assert nested.typer_instance is not None
        name, alone = f"{prefix} {nested.name}", nested.typer_instance.registered_callback
        if alone is not None and alone.invoke_without_command is True:
            found[name] = alone
        found |= commands(nested.typer_instance, name)
    return found


def parameters(command: Command) -> Iterator[tuple[str, str, str]]:
    """Yield name, kind of value and help of each argument and option of a command."""
    assert command.callback is not None
    for name, parameter in inspect.signature(command.callback, eval_str=True).parameters.items():
        if parameter.annotation is typer.Context:
            continue
        assert get_origin(parameter.annotation) is Annotated
        annotation, info = get_args(parameter.annotation)
        kind = _value(annotation)
        default = parameter.default
        if isinstance(default, str):
            kind += f", default `{default}`"
        if isinstance(info, OptionInfo):
            # beside Annotated, Typer takes the first declaration for the default
            names = (info.default, *(info.param_decls or ()))
            given = (one for one in names if isinstance(one, str))
            option = f"--{name.replace('_', '-')}"
            if default is True:
                option += f"/--no-{option[2:]}"
            yield next(given, option), kind, str(info.help)
        elif isinstance(info, ArgumentInfo):
            yield name.upper(), kind, str(info.help)


def _value(annotation: Any) -> str:
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = (one for one in get_args(annotation) if one is not type(None))
    if get_origin(annotation) is list:
        return f"{_value(get_args(annotation)[0])}, repeatable"
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{one}`" for one in get_args(annotation))
    names = {"bool": "none", "str": "text", "int": "number", "float": "number", "Path": "path"}
    return names[annotation.__name__]


PAGES = {"configuration.md": configuration_page, "cli.md": cli_page}

if __name__ == "__main__":
    for file, page in PAGES.items():
        (FOLDER / file).write_text(page(), encoding="utf-8")
