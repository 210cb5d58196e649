"""What there is to say of a component, as plain data: its docstring, its settings, its file."""

import inspect
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from fdmo_core.plugin_loading import LoadedComponent

LIMITS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")
HEADING = re.compile(r"(Source|Departs from [^:]*|Args|Attributes|Raises|Returns|Examples?):")


def describe_component(one: LoadedComponent) -> dict[str, Any]:
    """Return all that ``fdmo plugins show`` says of a component."""
    paragraphs = [
        " ".join(part.split()) for part in (inspect.getdoc(one.component) or "").split("\n\n")
    ]
    headed = [bool(HEADING.match(part)) for part in paragraphs]
    prose = paragraphs[: headed.index(True)] if True in headed else paragraphs
    file, line = _place(one.component)
    fields = one.component.config_class.model_fields
    settings = [_describe_field(key, field) for key, field in fields.items() if key != "name"]
    return {
        "name": one.name,
        "kind": one.kind.name,
        "summary": one.summary,
        "description": prose,
        "source": [part for part in paragraphs if part.startswith("Source:")],
        "distribution": one.distribution,
        "version": one.version,
        "file": file,
        "line": line,
        "sections": list(one.kind.sections),
        "settings": settings,
        "example": _example(one, settings),
    }


def _place(component: type[Any]) -> tuple[str, int] | tuple[None, None]:
    """Return file and line of a class; nothing where it was not read from a file."""
    try:
        return inspect.getfile(component), inspect.getsourcelines(component)[1]
    except (OSError, TypeError):
        return None, None


def _describe_field(key: str, field: FieldInfo) -> dict[str, Any]:
    required = field.is_required()
    default = None if required else field.get_default(call_default_factory=True)
    return {
        "key": key,
        "type": type_name(field.annotation),
        "required": required,
        "default": to_jsonable_python(default),
        "constraints": _limits(field.metadata) | _choices(field.annotation),
        "description": field.description or "",
    }


def type_name(annotation: Any) -> str:
    """Return what a person calls a type: ``tuple[int, ...]``, ``float | None``, ``text``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        limits = describe_limits(_limits(arguments[1:]))
        return type_name(arguments[0]) + (f" ({limits})" if limits else "")
    if origin is Literal:
        return " | ".join(dict.fromkeys(type_name(type(one)) for one in arguments))
    if origin in (Union, UnionType):
        return " | ".join(map(type_name, arguments))
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(type_name, arguments))}]"
    named = {Ellipsis: "...", NoneType: "none", str: "text"}
    return str(named.get(annotation) or getattr(annotation, "__name__", annotation))


def describe_limits(limits: Mapping[str, Any]) -> str:
    """Return constraints on one line: ``ge 0, lt 1``."""
    return ", ".join(f"{name} {_as_setting(value)}" for name, value in limits.items())


def _limits(metadata: Any) -> dict[str, Any]:
    """Return the constraints among what annotates a type."""
    found = {}
    for one in _flat(metadata):
        for name in LIMITS:
            value = getattr(one, name, None)
            if value is not None:
                found[name] = value
    return found


def _flat(metadata: Any) -> Iterator[Any]:
    for one in metadata:
        yield from _flat(one.metadata) if isinstance(one, FieldInfo) else [one]


def _choices(annotation: Any) -> dict[str, list[Any]]:
    """Return what a Literal allows, alone or within a union; nothing where there is none."""
    parts = [annotation, *get_args(annotation)]
    found = [value for part in parts if get_origin(part) is Literal for value in get_args(part)]
    return {"choices": found} if found else {}


def _as_setting(value: Any) -> str:
    """Return a value as ``--set`` takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _example(one: LoadedComponent, settings: list[dict[str, Any]]) -> str:
    """Return a command that chooses the component, with what it requires or else one setting."""
    required = [f"{field['key']}=VALUE" for field in settings if field["required"]]
    free = [
        f"{field['key']}={_as_setting(field['default'])}"
        for field in settings
        if field["default"] not in (None, "") and field["key"] != "image_size"
    ]
    words = ["fdmo", "train", "--plugin", one.name]
    for setting in required or free[:1]:
        words += ["--set", f"{one.kind.sections[0]}.{setting}"]
    return shlex.join(words)
