"""Random generators derived from the run's seed and a position in the run.

Nothing in a run hands a generator from one step to the next. Each step derives its own, so a run
that stops and goes on at step n draws what the uninterrupted run would have drawn, whatever the
number of workers and whatever was drawn before.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(seed: int, *position: str | int) -> int:
    """Return a seed for one position in a run, such as ``("phase1", epoch, step)``.

    Returns:
        A number in ``[0, 2**63)``; equal arguments give equal numbers on every machine.
    """
    text = json.dumps([seed, *position]).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def rng_for(seed: int, *position: str | int) -> torch.Generator:
    """Return a generator on the CPU for one position in a run; see :func:`derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(seed, *position))


@contextmanager
def seeded(seed: int, *position: str | int) -> Iterator[None]:
    """Seed PyTorch's global generators inside the block and restore them afterwards.

    Only for what PyTorch draws by itself: the initial weights of a module, and dropout.
    """
    in_use = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=in_use):  # a run on the CPU wakes no GPU
        torch.manual_seed(derive_seed(seed, *position))
        yield
