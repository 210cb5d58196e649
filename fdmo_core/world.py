"""The processes that share one run, started by torchrun; one process alone is a world of one."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from fdmo_core.errors import ConfigError, TrainingError
from fdmo_core.plain_data import from_bytes, to_bytes

ItemT = TypeVar("ItemT")

LOST_PEER = ("Connection closed by peer", "Connection reset", "Broken pipe", "NCCL", "Gloo")


@dataclass(frozen=True)
class World:
    """Which of how many processes this one is.

    Every process opens the data, holds the whole network and goes through the same steps. They
    share the images of a step, and the batches of a pass that learns nothing.

    Attributes:
        rank: Of this process, from 0. The first one writes the run folder and talks.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes and talks for all."""
        return self.rank == 0

    def share(self, items: Sequence[ItemT]) -> list[ItemT]:
        """Return this process's share: every ``size``-th item."""
        return list(items[self.rows])

    @property
    def rows(self) -> slice:
        """This process's rows of a batch that all processes share."""
        return slice(self.rank, None, self.size)

    def sum(self, counts: Tensor) -> None:
        """Add up a tensor over all processes, in place; integers stay exact."""
        if self.size > 1:
            dist.all_reduce(counts)

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.size > 1:
            dist.barrier()

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Make tensors on all processes what they are on the first, in place."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def gather(self, item: Any) -> list[Any]:
        """Return what each process gave, in order of rank.

        Args:
            item: Tensors and plain data, as :mod:`fdmo_core.plain_data` sends them: a tuple comes
                back as a list.
        """
        if self.size == 1:
            return [item]
        own = to_bytes(item)
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(sizes, torch.tensor([len(own)]))
        largest = int(max(size.item() for size in sizes))
        parts = [torch.empty(largest, dtype=torch.uint8) for _ in range(self.size)]
        dist.all_gather(parts, _padded(own, largest))
        pairs = zip(parts, sizes, strict=True)
        return [from_bytes(part[: int(size)].numpy().tobytes()) for part, size in pairs]

    def all(self, answer: bool) -> bool:
        """Return whether the answer is yes on every process."""
        return all(self.gather(answer))

    def from_first(self, make: Callable[[], ItemT]) -> ItemT:
        """Return what the first process makes; the others do not make it.

        Args:
            make: Returns what :meth:`gather` can send.

        Raises:
            TrainingError: The first process could not, and told why.
        """
        made: list[Any] = []
        try:
            if self.is_first:
                made = [make()]
        finally:
            if self.size > 1:
                made = self._from_first_bytes(made)
        if not made:
            raise TrainingError(
                f"Process {self.rank} stops with the first one. Expected the first one to go on. "
                f"Look above for its message."
            )
        item: ItemT = made[0]
        return item

    def _from_first_bytes(self, item: Any) -> Any:
        own = to_bytes(item) if self.is_first else b""
        size = torch.tensor([len(own)])
        dist.broadcast(size, src=0)
        content = _padded(own, int(size))
        dist.broadcast(content, src=0)
        return from_bytes(content.numpy().tobytes())

    def join(self, own: Tensor, total: int) -> Tensor:
        """Return the rows of all processes, in the order that :meth:`share` took them apart.

        Every process must then compute the same loss of the result: the slope of the process's own
        rows is scaled by ``size``, so that slopes averaged over the processes, as
        DistributedDataParallel does it, are those of one process with all rows.

        Args:
            own: Shape ``(B', ...)``, the share of this process.
            total: B, the rows of all.

        Returns:
            Shape ``(B, ...)``.
        """
        if self.size == 1:
            return own
        joined: Tensor = _Join.apply(own, total, self)
        return joined


def _padded(content: bytes, size: int) -> Tensor:
    return torch.frombuffer(bytearray(content.ljust(size, b"\0")), dtype=torch.uint8)


class _Join(torch.autograd.Function):
    """Gathers shares of rows; its slope needs no communication, for all compute the same loss."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, total: int, world: World) -> Tensor:
        ctx.world = world
        largest = -(-total // world.size)
        padded = own.new_zeros(largest, *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in range(world.size)]
        dist.all_gather(parts, padded)
        interleaved = torch.stack(parts, dim=1).flatten(0, 1)  # row i lies with process i % size
        return interleaved[:total]

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        world: World = ctx.world
        return slopes[0][world.rows] * world.size, None, None


@contextmanager
def joined_world(device: torch.device) -> Iterator[World]:
    """Join the processes that torchrun started, and leave them at the end.

    Without torchrun this is a world of one.

    Args:
        device: Where this process computes; NCCL connects CUDA devices, Gloo connects CPUs.

    Raises:
        TrainingError: Another process of the run stopped.
        ConfigError: The processes cannot meet.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield World()
        return
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"The processes of the run cannot meet: {error}. Expected WORLD_SIZE, RANK, "
            f"MASTER_ADDR and MASTER_PORT as torchrun sets them. Start with torchrun, or unset "
            f"WORLD_SIZE."
        ) from error
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    except RuntimeError as error:
        if not any(sign.lower() in str(error).lower() for sign in LOST_PEER):
            raise
        raise TrainingError(
            f"Process {dist.get_rank()} lost another process of the run. Expected all "
            f"{dist.get_world_size()} to live. Look above for the message of the one that stopped."
        ) from error
    finally:
        dist.destroy_process_group()
