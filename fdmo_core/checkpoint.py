"""Save and restore a phase between two epochs: weights, optimizers and the position, no pickle.

All of it is one safetensors file, with JSON in its header, so that a kill leaves the old file or
the new one.

Random generators are not saved, for none lives longer than a step; see fdmo_core.randomness.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor, nn

from fdmo_core.errors import RunFolderError
from fdmo_core.files import write_tensors

FORMAT_VERSION = 1
METADATA_KEY = "fdmo"


def save_checkpoint(
    folder: Path,
    phase: str,
    *,
    done: int,
    module: nn.Module,
    optimizers: Mapping[str, torch.optim.Optimizer],
    scaler: torch.amp.GradScaler | None = None,
) -> None:
    """Write the state of a phase as ``PHASE.safetensors``.

    Args:
        folder: An existing folder.
        phase: Such as ``"phase1"``.
        done: How many epochs or steps the state has behind it.
        module: All weights and buffers that the phase changes.
        optimizers: By name.
        scaler: Of fp16's slopes, if the phase has one.
    """
    tensors = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    groups: dict[str, Any] = {}
    for name, optimizer in optimizers.items():
        state = optimizer.state_dict()
        groups[name] = state["param_groups"]
        for index, entries in state["state"].items():
            for key, value in entries.items():
                tensors[f"optimizer.{name}.{index}.{key}"] = value
    for key, value in (scaler.state_dict() if scaler else {}).items():
        tensors[f"scaler.{key}"] = torch.tensor(value, dtype=torch.float64)
    head = {"format": FORMAT_VERSION, "phase": phase, "done": done, "optimizers": groups}
    write_tensors(
        folder / f"{phase}.safetensors", tensors, metadata={METADATA_KEY: json.dumps(head)}
    )


def load_checkpoint(
    folder: Path,
    phase: str,
    *,
    module: nn.Module,
    optimizers: Mapping[str, torch.optim.Optimizer],
    scaler: torch.amp.GradScaler | None = None,
) -> int:
    """Restore what :func:`save_checkpoint` wrote and return ``done``.

    Raises:
        RunFolderError: The checkpoint is missing, damaged, of another format, or of another run.
    """
    name = f"The checkpoint of {phase} in {folder}"
    try:
        content = (folder / f"{phase}.safetensors").read_bytes()
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        head = json.loads(header["__metadata__"][METADATA_KEY])
        found = head.get("format")
    except Exception as error:  # safetensors raises a type of its own
        raise RunFolderError(
            f"{name} cannot be read: {error}. Expected a whole {phase}.safetensors as fdmo writes "
            f"it. Train again in a new folder."
        ) from error
    require_format(found, name)
    try:
        module.load_state_dict(_below("module.", tensors))
        for key, optimizer in optimizers.items():
            state = _below(f"optimizer.{key}.", tensors)
            _restore_optimizer(optimizer, state, head["optimizers"][key])
        if scaler is not None and scaler.is_enabled():
            state = _below("scaler.", tensors)
            kinds = {key: type(value) for key, value in scaler.state_dict().items()}
            scaler.load_state_dict({key: kind(state[key].item()) for key, kind in kinds.items()})
        return int(head["done"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise RunFolderError(
            f"{name} does not fit the run: {error}. Expected one of the same configuration and "
            f"plugin versions. Use the run's own config.toml, or train again in a new folder."
        ) from error


def _restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]
) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, entry = key.partition(".")
        state.setdefault(int(index), {})[entry] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for parameter, held in optimizer.state.items():  # a fused step assumes equal layouts
        fitting = {key: one for key, one in held.items() if one.shape == parameter.shape}
        held |= {key: torch.empty_like(parameter).copy_(one) for key, one in fitting.items()}


def require_format(found: object, what: str) -> None:
    """Raise a RunFolderError unless the format is the one that this version writes."""
    if found != FORMAT_VERSION:
        raise RunFolderError(
            f"{what} has format {found!r}. Expected {FORMAT_VERSION}. Use the version of fdmo that "
            f"wrote it (environment.json of the run names it), or train again."
        )


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }
