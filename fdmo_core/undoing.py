"""Takes back a step: what a module and its optimizers hold, kept and put back bit for bit."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn


def remember_buffers(module: nn.Module) -> Callable[[], None]:
    """Return what gives a module's buffers the values of now: statistics that a forward moves."""
    kept = {name: buffer.clone() for name, buffer in module.named_buffers()}

    @torch.no_grad()
    def undo() -> None:
        for name, buffer in module.named_buffers():
            buffer.copy_(kept[name])

    return undo


def remember(
    module: nn.Module, optimizers: Mapping[str, torch.optim.Optimizer]
) -> Callable[[], None]:
    """Return what gives a module and its optimizers the state of now.

    It costs a copy of all weights and of all that the optimizers hold of them.
    """
    weights = {name: _copy(one) for name, one in module.state_dict().items()}
    buffers = remember_buffers(module)  # also those that no checkpoint holds
    states = {
        name: {
            parameter: {key: _copy(one) for key, one in held.items()}
            for parameter, held in optimizer.state.items()
        }
        for name, optimizer in optimizers.items()
    }
    settings = {
        name: [{key: one for key, one in group.items() if key != "params"} for group in groups]
        for name, groups in ((name, one.param_groups) for name, one in optimizers.items())
    }

    @torch.no_grad()
    def undo() -> None:
        module.load_state_dict(weights)
        buffers()
        for name, optimizer in optimizers.items():
            optimizer.zero_grad()
            for group, before in zip(optimizer.param_groups, settings[name], strict=True):
                group.update(before)
            optimizer.state.clear()
            optimizer.state.update(states[name])

    return undo


def _copy(one: Any) -> Any:
    return one.clone() if isinstance(one, Tensor) else deepcopy(one)
