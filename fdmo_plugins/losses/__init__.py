"""Losses for fine-tuning the main classifier."""

from collections.abc import Callable

from fdmo_core import Loss, hookimpl
from fdmo_plugins.losses.cross_entropy import CrossEntropyLoss
from fdmo_plugins.losses.focal import FocalLoss
from fdmo_plugins.losses.ldam import LdamLoss
from fdmo_plugins.losses.squared_error import SquaredErrorLoss


@hookimpl
def register_losses(register: Callable[[type[Loss]], None]) -> None:
    """Supply cross-entropy, squared error, focal loss and LDAM."""
    register(CrossEntropyLoss)
    register(SquaredErrorLoss)
    register(FocalLoss)
    register(LdamLoss)
