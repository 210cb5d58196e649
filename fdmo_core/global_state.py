"""What a process has only one of: seeds, number formats, threads of torch, numpy and Python."""

import random
from collections.abc import Callable, Mapping

import numpy as np
import torch


def _numpy_state() -> object:
    state = np.random.get_state(legacy=False)
    return {**state, "state": [np.asarray(one).tobytes() for one in state["state"].values()]}


READERS: Mapping[str, Callable[[], object]] = {
    "torch's seed": torch.initial_seed,
    "torch's random state": lambda: torch.get_rng_state().numpy().tobytes(),
    "torch's default dtype": torch.get_default_dtype,
    "torch's default device": torch.get_default_device,
    "torch's number of threads": torch.get_num_threads,
    "torch's number of threads between operations": torch.get_num_interop_threads,
    "whether torch computes gradients": torch.is_grad_enabled,
    "whether torch is deterministic": torch.are_deterministic_algorithms_enabled,
    "torch's precision of matrix products": torch.get_float32_matmul_precision,
    "whether cuDNN picks algorithms by time": lambda: torch.backends.cudnn.benchmark,
    "numpy's random state": _numpy_state,
    "Python's random state": random.getstate,
}


def read_global_state() -> dict[str, object]:
    """Return each piece of the state by what it is called in messages."""
    return {name: read() for name, read in READERS.items()}


def changed_since(before: Mapping[str, object]) -> tuple[str, ...]:
    """Return what is no longer as :func:`read_global_state` found it before."""
    now = read_global_state()
    return tuple(name for name, value in before.items() if now[name] != value)
