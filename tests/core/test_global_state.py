"""Each piece of global state that an import can change is seen."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from fdmo_core.global_state import READERS, changed_since, read_global_state

THREADS = torch.get_num_threads()
CHANGES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "torch's default dtype": (
        lambda: torch.set_default_dtype(torch.float64),
        lambda: torch.set_default_dtype(torch.float32),
    ),
    "torch's default device": (
        lambda: torch.set_default_device("meta"),
        lambda: torch.set_default_device(None),
    ),
    "torch's number of threads": (
        lambda: torch.set_num_threads(THREADS + 1),
        lambda: torch.set_num_threads(THREADS),
    ),
    "whether torch computes gradients": (
        lambda: torch.set_grad_enabled(False),
        lambda: torch.set_grad_enabled(True),
    ),
    "whether torch is deterministic": (
        lambda: torch.use_deterministic_algorithms(True),
        lambda: torch.use_deterministic_algorithms(False),
    ),
    "torch's precision of matrix products": (
        lambda: torch.set_float32_matmul_precision("high"),
        lambda: torch.set_float32_matmul_precision("highest"),
    ),
    "whether cuDNN picks algorithms by time": (
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
        lambda: setattr(torch.backends.cudnn, "benchmark", False),
    ),
    "torch's random state": (lambda: torch.rand(1), lambda: None),
    "numpy's random state": (np.random.random, lambda: None),
    "Python's random state": (random.random, lambda: None),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_a_change_is_named_and_nothing_else_is(name: str) -> None:
    change, undo = CHANGES[name]
    before = read_global_state()
    assert changed_since(before) == ()

    change()
    found = changed_since(before)
    undo()

    assert found == (name,)


def test_a_seed_changes_the_random_state_too() -> None:
    before = read_global_state()

    torch.manual_seed(torch.initial_seed() + 1)

    assert changed_since(before) == ("torch's seed", "torch's random state")


def test_every_piece_but_two_is_tried_above() -> None:
    once_a_process = "torch's number of threads between operations"

    assert READERS.keys() - CHANGES.keys() == {"torch's seed", once_a_process}
