"""Processes that share a run, as real processes connected by Gloo."""

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from fdmo_core.errors import ConfigError, TrainingError
from fdmo_core.randomness import rng_for
from fdmo_core.world import World, joined_world

InProcesses = Callable[..., list[Any]]
CPU = torch.device("cpu")


def values(count: int) -> torch.Tensor:
    return torch.randn(count, 3, generator=rng_for(0, "values"))


def what_each_finds() -> dict[str, Any]:
    with joined_world(CPU) as world:
        counts = torch.tensor([2**40 + world.rank, 1])
        world.sum(counts)
        weights = torch.full((2,), float(world.rank))
        world.broadcast([weights])
        world.wait()
        return {
            "world": [world.rank, world.size, world.is_first],
            "share": world.share(range(7)),
            "sum": counts.tolist(),
            "broadcast": weights.tolist(),
            "gather": world.gather({"rank": world.rank}),
            "all": [world.all(True), world.all(world.is_first), world.all(False)],
            "from_first": world.from_first(lambda: f"made by {world.rank}"),
        }


@pytest.mark.parametrize("size", [2, 3])
def test_processes_exchange_what_they_have(in_processes: InProcesses, size: int) -> None:
    found = in_processes(size, what_each_finds)

    ranks = range(size)
    assert [one["world"] for one in found] == [[rank, size, rank == 0] for rank in ranks]
    assert [one["share"] for one in found] == [list(range(rank, 7, size)) for rank in ranks]
    for one in found:
        assert one["sum"] == [size * 2**40 + sum(ranks), size]  # integers stay exact
        assert one["broadcast"] == [0.0, 0.0]
        assert one["gather"] == [{"rank": rank} for rank in ranks]
        assert one["all"] == [True, False, False]
        assert one["from_first"] == "made by 0"


def test_a_world_of_one_needs_no_other() -> None:
    world, counts = World(), torch.tensor([1, 2])

    world.sum(counts)
    world.broadcast([counts])
    world.wait()

    assert counts.tolist() == [1, 2]
    assert world.is_first
    assert world.share([4, 5, 6]) == [4, 5, 6]
    assert world.gather("item") == ["item"]
    assert [world.all(True), world.all(False)] == [True, False]
    assert world.from_first(lambda: "made") == "made"
    assert world.join(counts, 2) is counts


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)

    with joined_world(CPU) as world:
        assert world == World(rank=0, size=1)


def join_and_learn(total: int) -> list[Any]:
    """Return the joined rows, labels, and the slope that averaging over the processes gives."""
    with joined_world(CPU) as world:
        weight = torch.ones(3, requires_grad=True)
        rows = values(total)[world.rows] * weight
        joined = world.join(rows, total)
        labels = world.join(torch.arange(total)[world.rows], total)
        (joined.square().mean(dim=1) * torch.arange(1, total + 1)).sum().backward()
        assert weight.grad is not None
        world.sum(weight.grad)
        return [joined.tolist(), labels.tolist(), (weight.grad / world.size).tolist()]


@pytest.mark.parametrize(("size", "total"), [(2, 5), (3, 7), (3, 2)])
def test_joined_rows_have_the_order_and_the_slopes_of_one_process(
    in_processes: InProcesses, size: int, total: int
) -> None:
    found = in_processes(size, join_and_learn, total)

    weight = torch.ones(3, requires_grad=True)
    rows = values(total) * weight
    (rows.square().mean(dim=1) * torch.arange(1, total + 1)).sum().backward()
    assert weight.grad is not None
    for joined, labels, slope in found:
        assert joined == values(total).tolist()
        assert labels == list(range(total))
        torch.testing.assert_close(torch.tensor(slope), weight.grad, rtol=1e-5, atol=1e-6)


def fail_first() -> None:
    def refuse() -> str:
        raise ConfigError("The folder is taken.")

    with joined_world(CPU) as world:
        world.from_first(refuse)


def test_what_the_first_process_refuses_stops_the_others_with_one_message(
    in_processes: InProcesses,
) -> None:
    first, second, third = in_processes(3, fail_first, outcomes=True, seconds=20)

    assert [code for code, _ in (first, second, third)] == [1, 1, 1]
    assert "ConfigError: The folder is taken." in first[1]
    for rank, (_, message) in enumerate((second, third), 1):
        assert message.rstrip().endswith(
            f"TrainingError: Process {rank} stops with the first one. Expected the first one to go "
            f"on. Look above for its message."
        )


def die_as_the_last() -> None:
    with joined_world(CPU) as world:
        world.wait()
        if world.rank == world.size - 1:
            os._exit(9)
        world.sum(torch.zeros(1))


def raise_as_the_last() -> None:
    with joined_world(CPU) as world:
        world.wait()
        if world.rank == world.size - 1:
            raise KeyError("a bug of its own")
        world.sum(torch.zeros(1))


@pytest.mark.parametrize("leave", [die_as_the_last, raise_as_the_last])
def test_a_process_that_stops_stops_the_others_soon(
    in_processes: InProcesses, leave: Callable[[], None]
) -> None:
    begin = time.monotonic()

    *others, last = in_processes(3, leave, outcomes=True, seconds=30)

    assert time.monotonic() - begin < 20
    assert last[0] == (9 if leave is die_as_the_last else 1)
    for rank, (code, message) in enumerate(others):
        assert code == 1
        assert message.rstrip().endswith(
            f"{TrainingError.__name__}: Process {rank} lost another process of the run. Expected "
            f"all 3 to live. Look above for the message of the one that stopped."
        )


def fail_by_itself() -> None:
    with joined_world(CPU) as world:
        world.wait()
        raise RuntimeError("a shape does not fit")


def test_an_error_of_its_own_is_not_taken_for_a_lost_process(in_processes: InProcesses) -> None:
    for code, message in in_processes(2, fail_by_itself, outcomes=True):
        assert code == 1
        assert message.rstrip().endswith("RuntimeError: a shape does not fit")
