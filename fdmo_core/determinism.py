"""Operations whose result is the same each time, for as long as a run goes on."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fdmo_core.compute import Compute
from fdmo_core.journal import Journal

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # cuBLAS repeats itself only with a workspace of its own
UNABLE = re.compile(r"^(?P<name>\S+) does not have a deterministic implementation")


@contextmanager
def deterministic_algorithms(compute: Compute, journal: Journal) -> Iterator[None]:
    """Have PyTorch take operations that repeat themselves, where the configuration asks for it.

    On a CPU an operation that has no such form raises. On CUDA it runs all the same, and the
    journal is told its name once, so that a person knows what may differ.

    Args:
        compute: Device and ``compute.deterministic``; ``"auto"`` is on for a CPU alone.
        journal: Told the operations.
    """
    if not compute.is_deterministic:
        yield
        return
    fills: Any = torch.utils.deterministic
    on_cuda = compute.device.type == "cuda"
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        fills.fill_uninitialized_memory,
        torch.backends.cudnn.benchmark,
    )
    workspace = os.environ.get(WORKSPACE)
    if on_cuda and workspace is None:
        os.environ[WORKSPACE] = ":4096:8"
    torch.use_deterministic_algorithms(True, warn_only=on_cuda)
    fills.fill_uninitialized_memory = False  # finds errors, and takes time
    torch.backends.cudnn.benchmark = False  # or it would choose by the clock
    try:
        with _told(journal):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        fills.fill_uninitialized_memory = before[2]
        torch.backends.cudnn.benchmark = before[3]
        if on_cuda and workspace is None:
            del os.environ[WORKSPACE]


@contextmanager
def _told(journal: Journal) -> Iterator[None]:
    """Turn PyTorch's warnings of operations that do not repeat themselves into notices."""
    told: set[str] = set()
    show = warnings.showwarning

    def notice(message: Warning | str, *rest: Any, **named: Any) -> None:
        found = UNABLE.match(str(message))
        if found is None:
            show(message, *rest, **named)
        elif found["name"] not in told:
            told.add(found["name"])
            journal.notice(
                f"{found['name']} has no deterministic form on this device: the last digits of "
                f"this run may be others when it is repeated."
            )

    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=UNABLE.pattern)
        warnings.showwarning = notice
        yield
