"""Runs a session on a GPU: inputs go there, outputs come back when all of them are computed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def run_bound(
    session: Any, outputs: Sequence[str], feed: Mapping[str, NDArray[Any]]
) -> list[NDArray[np.float32]]:
    """Return the outputs, in order.

    Args:
        session: On CUDA or TensorRT.
        outputs: Their names.
        feed: Inputs by name, on the CPU.
    """
    binding = session.io_binding()
    for name, value in feed.items():
        binding.bind_cpu_input(name, np.ascontiguousarray(value))
    for name in outputs:
        binding.bind_output(name, "cuda")
    session.run_with_iobinding(binding)
    found: list[NDArray[np.float32]] = binding.copy_outputs_to_cpu()
    return found
