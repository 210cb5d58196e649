"""Save and restore a phase between two steps: weights, optimizers and the position, no pickle.

All of it is one sealed file, so that a kill leaves the old file or the new one, and a damaged file
is known. The one before is kept beside it.

Random generators are not saved, for none lives longer than a step; see fdmo_core.randomness.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from fdmo_core.errors import RunFolderError
from fdmo_core.sealed import Sealed, read_sealed, write_sealed
from fdmo_core.settings import Settings

FORMAT_VERSION = 2


class CheckpointConfig(Settings):
    """How often a phase is saved; always at its end, and when the run is asked to stop.

    A batch of a cache or of the dictionary counts as a step.
    """

    minutes: float = Field(
        default=5.0, gt=0, description="Minutes between two checkpoints of a phase."
    )
    steps: int = Field(
        default=0, ge=0, description="Steps between two checkpoints; 0 goes by time alone."
    )


class Interval:
    """The time and the steps between two checkpoints."""

    def __init__(self, config: CheckpointConfig) -> None:
        self._config = config
        self.begin()

    def begin(self) -> None:
        """Count from now, for something was just saved."""
        self._begun = time.monotonic()  # whatever the clock is set to

    def is_over(self, done: int) -> bool:
        """Return whether something is to be saved, with so many steps done."""
        if self._config.steps and done % self._config.steps == 0:
            return True
        return time.monotonic() - self._begun >= 60 * self._config.minutes


class Position(NamedTuple):
    """How far a phase has come.

    Attributes:
        done: Steps that are behind it.
        total: Steps in all.
    """

    done: int
    total: int

    @property
    def is_end(self) -> bool:
        """Whether nothing is left to do."""
        return self.done == self.total


def checkpoint_files(folder: Path, phase: str) -> tuple[Path, Path]:
    """Return where a phase's last checkpoint is, and where the one before."""
    return folder / f"{phase}.safetensors", folder / f"{phase}.previous.safetensors"


def save_checkpoint(
    folder: Path,
    phase: str,
    *,
    position: Position,
    module: nn.Module,
    optimizers: Mapping[str, torch.optim.Optimizer],
    scaler: torch.amp.GradScaler | None = None,
) -> None:
    """Write the state of a phase as ``PHASE.safetensors``; keep the one that was there as well.

    Args:
        folder: An existing folder.
        phase: Such as ``"phase1"``.
        position: How many steps the state has behind it.
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
    head = {"format": FORMAT_VERSION, "phase": phase, **position._asdict(), "optimizers": groups}
    last, before = checkpoint_files(folder, phase)
    write_sealed(last, head, tensors, keep_old_as=before)


def load_checkpoint(
    file: Path,
    *,
    module: nn.Module,
    optimizers: Mapping[str, torch.optim.Optimizer],
    scaler: torch.amp.GradScaler | None = None,
) -> Position:
    """Restore what :func:`save_checkpoint` wrote and return how far the phase was.

    Raises:
        RunFolderError: The checkpoint is missing, damaged, of another format, or of another run.
    """
    head, tensors = read_checkpoint(file)
    try:
        module.load_state_dict(_below("module.", tensors))
        for key, optimizer in optimizers.items():
            state = _below(f"optimizer.{key}.", tensors)
            _restore_optimizer(optimizer, state, head["optimizers"][key])
        if scaler is not None and scaler.is_enabled():
            state = _below("scaler.", tensors)
            kinds = {key: type(value) for key, value in scaler.state_dict().items()}
            scaler.load_state_dict({key: kind(state[key].item()) for key, kind in kinds.items()})
        return Position(int(head["done"]), int(head["total"]))
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise RunFolderError(
            f"The checkpoint {file} does not fit the run: {error}. Expected one of the same "
            f"configuration and plugin versions. Use the run's own config.toml, or train again in "
            f"a new folder."
        ) from error


def read_checkpoint(file: Path) -> Sealed:
    """Return what a checkpoint holds, once it is known to be whole and of this format.

    Raises:
        RunFolderError: The checkpoint is missing, damaged or of another format.
    """
    try:
        content = read_sealed(file)
    except Exception as error:  # safetensors raises a type of its own
        raise RunFolderError(
            f"The checkpoint {file} cannot be read: {error}. Expected the whole file as fdmo wrote "
            f"it. Train again in a new folder."
        ) from error
    require_format(content.head.get("format"), f"The checkpoint {file}", FORMAT_VERSION)
    return content


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


def require_format(found: object, what: str, expected: int) -> None:
    """Raise a RunFolderError unless the format is the one that this version writes."""
    if found != expected:
        raise RunFolderError(
            f"{what} has format {found!r}. Expected {expected}. Use the version of fdmo that "
            f"wrote it (environment.json of the run names it), or train again."
        )


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }
