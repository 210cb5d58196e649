"""Whether two runs came to the same bits, and where they first parted if not."""

import json
import math
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from fdmo_core.errors import RunFolderError
from fdmo_core.json_files import read_json
from fdmo_core.manifest import files_below, require_intact

MODEL_FILE = "model.safetensors"


def first_difference(one: Path, other: Path) -> str:
    """Return the first thing in which two finished runs differ, in the order of a run; "" if none.

    That order is data, terms of each step, dictionary, model, metrics. Times, versions and
    checkpoints are not looked at; of a step that a resumed run did twice the second one counts.

    Args:
        one: Folder of a finished run, the old one.
        other: Of another one.

    Raises:
        RunFolderError: A file is missing or damaged.
    """
    for folder in (one, other):
        require_intact(folder, "data.json", "metrics.json", MODEL_FILE, part="dictionary")
    found = chain(
        _unequal("data.json", _flat(_read(one, "data.json")), _flat(_read(other, "data.json"))),
        _unequal("log.jsonl", _terms(one), _terms(other)),
        _unequal_dictionaries(one, other),
        _unequal_tensors(MODEL_FILE, one, other),
        _unequal(
            "metrics.json", _flat(_read(one, "metrics.json")), _flat(_read(other, "metrics.json"))
        ),
    )
    return next(found, "")


def _unequal(file: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in [*old, *(key for key in new if key not in old)]:
        before, now = old.get(key), new.get(key)
        if before != now and not (_is_nan(before) and _is_nan(now)):
            yield f"{file}: {key} was {before!r}, is {now!r}"


def _unequal_dictionaries(one: Path, other: Path) -> Iterator[str]:
    old, new = (
        {file.relative_to(folder).as_posix(): file for file in files_below(folder / "dictionary")}
        for folder in (one, other)
    )
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            yield f"{name} is in {other if name in new else one} only"
        elif old[name].read_bytes() == new[name].read_bytes():
            continue
        elif name.endswith(".safetensors"):
            yield from _unequal_tensors(name, one, other)
        else:
            yield f"{name} has other content"


def _unequal_tensors(name: str, one: Path, other: Path) -> Iterator[str]:
    old, new = (_tensors(folder / name) for folder in (one, other))
    for key in sorted(old.keys() | new.keys()):
        if key not in old or key not in new:
            yield f"{name}: {key} is in {other if key in new else one} only"
        elif (old[key].shape, old[key].dtype) != (new[key].shape, new[key].dtype):
            yield f"{name}: {key} was {_kind(old[key])}, is {_kind(new[key])}"
        elif not torch.equal(*(one.flatten().view(torch.uint8) for one in (old[key], new[key]))):
            largest = (old[key].double() - new[key].double()).abs().max()
            yield f"{name}: {key} differs by up to {largest:.3g}"


def _kind(tensor: Tensor) -> str:
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}"


def _tensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except Exception as error:  # safetensors raises a type of its own
        raise _unreadable(file, error) from error


def _terms(folder: Path) -> dict[str, float]:
    """Return the terms of each step by a name that says which."""
    terms: dict[str, float] = {}
    file = folder / "log.jsonl"
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            entry: dict[str, Any] = json.loads(line)
            if entry.get("step") is not None:
                place = f"step {entry['step']} of {entry['phase']}"
                known = ("time", "phase", "step", "of")
                terms |= {f"{place}, {key}": one for key, one in entry.items() if key not in known}
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise _unreadable(file, error) from error
    return terms


def _read(folder: Path, name: str) -> Any:
    try:
        return read_json(folder / name)
    except (OSError, ValueError) as error:
        raise _unreadable(folder / name, error) from error


def _flat(content: Any, path: str = "") -> dict[str, Any]:
    """Return plain data by path, such as ``test.after.acsa.value``."""
    if isinstance(content, Mapping):
        parts = content.items()
    elif isinstance(content, list):
        parts = {str(index): one for index, one in enumerate(content)}.items()
    else:
        return {path: content}
    flat: dict[str, Any] = {}
    for key, one in parts:
        flat |= _flat(one, f"{path}.{key}" if path else str(key))
    return flat


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _unreadable(file: Path, error: Exception) -> RunFolderError:
    return RunFolderError(
        f"{file} cannot be read: {error!r}. Expected the file as a finished run leaves it. Compare "
        f"runs that are whole."
    )
