import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import get_type_hints

import pluggy
import pytest

from fdmo_core import Loss, hookspecs
from fdmo_core.kinds import KINDS, Kind
from fdmo_core.testing.toys import ToyLoss

HOOKS = {name for name in vars(hookspecs) if name.startswith("register_")}


def test_there_is_one_hook_per_kind() -> None:
    assert {kind.hook for kind in KINDS} == HOOKS


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_hook_takes_a_callback_for_classes_of_its_interface(kind: Kind) -> None:
    hook = getattr(hookspecs, kind.hook)

    assert list(inspect.signature(hook).parameters) == ["register"]
    assert get_type_hints(hook)["register"] == Callable[[type[kind.interface]], None]
    assert "``register(" in (inspect.getdoc(hook) or "")


def test_the_marker_makes_a_function_an_implementation() -> None:
    @hookspecs.hookimpl
    def register_losses(register: Callable[[type[Loss]], None]) -> None:
        register(ToyLoss)

    manager = pluggy.PluginManager("fdmo")
    manager.add_hookspecs(hookspecs)
    manager.register(SimpleNamespace(register_losses=register_losses))
    registered: list[type[Loss]] = []
    manager.hook.register_losses(register=registered.append)

    assert registered == [ToyLoss]
