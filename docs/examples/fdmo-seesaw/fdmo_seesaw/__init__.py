"""Seesaw loss and the oversampling of LoRAS, for fdmo."""

from collections.abc import Callable

from fdmo_core import FeatureGenerator, Loss, hookimpl
from fdmo_seesaw.loras import Loras
from fdmo_seesaw.loss import SeesawLoss

FDMO_API = 1


@hookimpl
def register_losses(register: Callable[[type[Loss]], None]) -> None:
    """Supply the loss."""
    register(SeesawLoss)


@hookimpl
def register_generators(register: Callable[[type[FeatureGenerator]], None]) -> None:
    """Supply the generator."""
    register(Loras)
