"""Plain data and tensors as bytes and back, for processes that exchange them without pickle.

Bytes that come from elsewhere can thus become data only, and never run code.
"""

import json
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

HEAD = "plain"


def to_bytes(item: Any) -> bytes:
    """Return what is sent of an item.

    Args:
        item: None, truth values, numbers, texts, tensors, and lists, tuples and tables of them.

    Raises:
        TypeError: Something else is in it.
    """
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_described(item, tensors))
    return save(tensors, {HEAD: tree})


def from_bytes(content: bytes) -> Any:
    """Return the item of :func:`to_bytes`; tuples come back as lists, tensors on the CPU."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    return _made(json.loads(header["__metadata__"][HEAD]), load(content))


def _described(item: Any, tensors: dict[str, Tensor]) -> list[Any]:
    """Return an item as JSON has it, each value with its kind; tensors go into ``tensors``."""
    if isinstance(item, Tensor):
        name = str(len(tensors))
        tensors[name] = item.detach().cpu().clone(memory_format=torch.contiguous_format)
        return ["tensor", name]
    if isinstance(item, list | tuple):
        return ["list", [_described(one, tensors) for one in item]]
    if isinstance(item, dict) and all(isinstance(key, str) for key in item):
        return ["table", {key: _described(one, tensors) for key, one in item.items()}]
    if item is None or isinstance(item, bool | int | float | str):
        return ["value", item]
    raise TypeError(f"A {type(item).__name__} is no plain data, so no process can be sent it.")


def _made(described: list[Any], tensors: dict[str, Tensor]) -> Any:
    kind, content = described
    if kind == "tensor":
        return tensors[content]
    if kind == "list":
        return [_made(one, tensors) for one in content]
    if kind == "table":
        return {key: _made(one, tensors) for key, one in content.items()}
    return content
