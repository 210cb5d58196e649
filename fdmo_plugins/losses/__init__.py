"""Losses for fine-tuning the main classifier."""

from collections.abc import Callable

from fdmo_core import Loss, hookimpl
from fdmo_plugins.losses.balanced_softmax import BalancedSoftmaxLoss
from fdmo_plugins.losses.class_balanced import ClassBalancedLoss
from fdmo_plugins.losses.cross_entropy import CrossEntropyLoss
from fdmo_plugins.losses.focal import FocalLoss
from fdmo_plugins.losses.ldam import LdamLoss
from fdmo_plugins.losses.logit_adjusted import LogitAdjustedLoss
from fdmo_plugins.losses.squared_error import SquaredErrorLoss


@hookimpl
def register_losses(register: Callable[[type[Loss]], None]) -> None:
    """Supply the paper's losses and those that correct the prior."""
    register(CrossEntropyLoss)
    register(SquaredErrorLoss)
    register(FocalLoss)
    register(LdamLoss)
    register(ClassBalancedLoss)
    register(BalancedSoftmaxLoss)
    register(LogitAdjustedLoss)
