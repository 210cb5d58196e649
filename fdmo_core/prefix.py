"""The leading stages that both streams share: found by comparison, never assumed.

Two streams that start from the same weights and freeze the same stages compute the same function
there, 91 % of VGG16's multiplications when it is frozen to conv4_3. The engine runs it once.
"""

import hashlib
import json
from collections.abc import Iterable
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn

from fdmo_core.interfaces import Extractor

OF_EVERY_MODULE = frozenset(vars(nn.Module()))  # parameters, submodules, hooks, the mode


def num_shared_stages(one: Extractor, other: Extractor) -> int:
    """Return how many leading stages are frozen in both extractors and compute the same.

    Stages compute the same if they are of the same classes with the same attributes, and all
    their weights and buffers are equal, bit for bit. Stages without a weight, such as the
    normalisation of colours alone, are not worth sharing and count as none.
    """
    frozen = min(one.num_frozen_stages, other.num_frozen_stages)
    pairs = zip(one.stages[:frozen], other.stages[:frozen], strict=True)
    shared = sum(1 for _ in takewhile(lambda pair: compute_the_same(*pair), pairs))
    weights = [weight for stage in one.stages[:shared] for weight in stage.parameters()]
    return shared if weights else 0


def compute_the_same(one: nn.Module, other: nn.Module) -> bool:
    """Return whether two modules are equal in classes, attributes, weights and buffers."""
    named, others = list(one.named_modules()), list(other.named_modules())
    return len(named) == len(others) and all(
        name == name_of_other and _equal_alone(module, module_of_other)
        for (name, module), (name_of_other, module_of_other) in zip(named, others, strict=True)
    )


def _equal_alone(one: nn.Module, other: nn.Module) -> bool:
    """Compare two modules without their submodules."""
    if type(one) is not type(other) or _hooked(one) or _hooked(other):
        return False
    parts = ({**vars(module), **module._parameters, **module._buffers} for module in (one, other))
    held, held_by_other = (
        {name: part for name, part in own.items() if name not in OF_EVERY_MODULE} for own in parts
    )
    return held.keys() == held_by_other.keys() and all(
        _equal(part, held_by_other[name]) for name, part in held.items()
    )


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    try:
        return type(one) is type(other) and bool(one == other)
    except (RuntimeError, ValueError):  # a container of tensors has no single answer
        return False


def digest_stages(stages: Iterable[nn.Module]) -> str:
    """Return a hex digest of classes, plain attributes, weights and buffers of stages."""
    total = hashlib.blake2b(digest_size=16)
    for stage in stages:
        classes = [
            (
                name,
                f"{type(part).__module__}.{type(part).__qualname__}",
                part.extra_repr(),
                _plain_attributes(part),
            )
            for name, part in stage.named_modules()
        ]
        total.update(json.dumps(classes).encode())
        for name, tensor in [*stage.named_parameters(), *stage.named_buffers()]:
            total.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            flat = tensor.detach().cpu().contiguous().flatten()
            total.update(flat.view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _plain_attributes(module: nn.Module) -> list[str]:
    """Return what an attribute's text tells for certain, in order of name."""
    plain = (bool, int, float, str, tuple, type(None))
    held = sorted(vars(module).items())
    return [
        f"{name}={part!r}"
        for name, part in held
        if name not in OF_EVERY_MODULE and isinstance(part, plain)
    ]
