"""Bring a component to the state of another one by way of a file, as a resumed run does."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from fdmo_core.checkpoint import Position, checkpoint_files, load_checkpoint, save_checkpoint
from fdmo_core.interfaces import FeatureGenerator, Rebalancer

READ = "checkpoint.save_checkpoint"


def restore(saved: nn.Module, other: nn.Module) -> None:
    """Save a module with its optimizers, and restore both in the other one.

    Args:
        saved: What is saved.
        other: What is restored: built from the same config.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            position, optimizers = Position(1, 2), _optimizers(saved)
            save_checkpoint(folder, "phase", position=position, module=saved, optimizers=optimizers)
            file, _ = checkpoint_files(folder, "phase")
            load_checkpoint(file, module=other, optimizers=_optimizers(other))
        except Exception as error:  # a stranger's state_dict may raise anything
            reason = " ".join(str(error).split())
            raise AssertionError(
                f"Its state cannot be saved and restored: {type(error).__name__}: {reason} "
                f"Expected a state_dict of tensors that share no memory, with the same names in "
                f"each instance. See fdmo_core.{READ}."
            ) from error


def _optimizers(module: nn.Module) -> Mapping[str, torch.optim.Optimizer]:
    return module.optimizers() if isinstance(module, FeatureGenerator | Rebalancer) else {}
