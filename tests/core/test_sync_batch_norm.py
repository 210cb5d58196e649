"""Batch norm over the rows of all processes, against that of one process."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fdmo_core.errors import ConfigError
from fdmo_core.randomness import rng_for
from fdmo_core.sync_batch_norm import CpuSyncBatchNorm, synchronise_batch_norm
from fdmo_core.world import World, joined_world

InProcesses = Callable[..., list[Any]]
CPU = torch.device("cpu")
STEPS = 3


def rows(total: int, step: int, *, is_map: bool) -> Tensor:
    shape = (total, 4, 3, 2) if is_map else (total, 4)
    return 5 + 3 * torch.randn(*shape, generator=rng_for(0, "rows", step))


def module(*, is_map: bool, momentum: float | None) -> nn.Module:
    one: nn.Module = (nn.BatchNorm2d if is_map else nn.BatchNorm1d)(4, momentum=momentum)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.copy_(torch.randn(4, generator=rng_for(0, "weights")))
    return one.train()


def learn(model: nn.Module, given: Tensor, share: slice, total: int) -> tuple[Tensor, list[Tensor]]:
    """Return outputs and slopes (of input, weight, bias) of a loss that is a sum over rows."""
    model.zero_grad()
    own = given[share].clone().requires_grad_()
    outputs = model(own)
    scores = torch.arange(1.0, total + 1)[share].view(-1, *[1] * (given.dim() - 1))
    (outputs.square() * outputs * scores).sum().backward()
    slopes = [one.grad for one in (own, *model.parameters())]
    assert all(slope is not None for slope in slopes)
    return outputs.detach(), [slope for slope in slopes if slope is not None]


def learn_together(total: int, is_map: bool, momentum: float | None) -> dict[str, Any]:
    """Return what this process gets, slopes of weights added up over the processes."""
    with joined_world(CPU) as world:
        model = nn.Sequential(module(is_map=is_map, momentum=momentum))
        synchronise_batch_norm(model, world, CPU)
        for step in range(STEPS):
            outputs, (own, *shared) = learn(
                model, rows(total, step, is_map=is_map), world.rows, total
            )
        for slope in shared:
            world.sum(slope)
        return {
            "outputs": outputs.tolist(),
            "own": own.tolist(),
            "shared": [slope.tolist() for slope in shared],
            "state": {name: value.tolist() for name, value in model.state_dict().items()},
        }


def close(found: Any, expected: Tensor) -> None:
    numbers = torch.tensor(found, dtype=expected.dtype).reshape(expected.shape)
    torch.testing.assert_close(numbers, expected, rtol=1e-5, atol=1e-5 * _largest(expected))


def _largest(values: Tensor) -> float:
    return max(1.0, float(values.abs().max())) if values.numel() else 1.0


@pytest.mark.parametrize(
    ("size", "total", "is_map", "momentum"),
    [
        (2, 6, True, 0.1),
        (2, 7, False, 0.1),
        (3, 7, True, None),
        (3, 2, True, 0.1),  # the last process has no row
        (3, 2, False, 0.3),
    ],
)
def test_processes_together_are_one_batch_norm(
    in_processes: InProcesses, size: int, total: int, is_map: bool, momentum: float | None
) -> None:
    found = in_processes(size, learn_together, total, is_map, momentum)

    alone = nn.Sequential(module(is_map=is_map, momentum=momentum))
    for step in range(STEPS):
        outputs, (slope, *shared) = learn(
            alone, rows(total, step, is_map=is_map), slice(None), total
        )
    for rank, one in enumerate(found):
        share = World(rank, size).rows
        close(one["outputs"], outputs[share])
        close(one["own"], slope[share])
        for name, value in alone.state_dict().items():
            close(one["state"][name], value)
        for together, expected in zip(one["shared"], shared, strict=True):
            close(together, expected)


def normalise_in_bfloat16(total: int) -> list[Any]:
    with joined_world(CPU) as world:
        model = nn.Sequential(module(is_map=True, momentum=0.1))
        synchronise_batch_norm(model, world, CPU)
        given = rows(total, 0, is_map=True).bfloat16()[world.rows]
        return [model(given).float().tolist(), model.state_dict()["0.running_var"].tolist()]


def test_statistics_of_rows_in_reduced_precision_are_those_in_fp32(
    in_processes: InProcesses,
) -> None:
    total = 101  # 606 values a channel, a count that bf16 cannot hold

    found = in_processes(2, normalise_in_bfloat16, total)

    alone = module(is_map=True, momentum=0.1)
    expected = alone(rows(total, 0, is_map=True).bfloat16().float()).detach()
    for rank, (outputs, variance) in enumerate(found):
        share = torch.tensor(outputs)
        torch.testing.assert_close(share, expected[World(rank, 2).rows], rtol=2e-2, atol=2e-2)
        close(variance, alone.get_buffer("running_var"))


def test_evaluation_is_that_of_the_replaced_module() -> None:
    original = module(is_map=True, momentum=0.1)
    original(rows(8, 0, is_map=True))
    model = nn.Sequential(original).eval()
    expected = model(rows(5, 1, is_map=True))

    synchronise_batch_norm(model, World(0, 2), CPU)

    assert isinstance(model[0], CpuSyncBatchNorm)
    assert torch.equal(model(rows(5, 1, is_map=True)), expected)


def test_weights_buffers_names_and_mode_stay() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.BatchNorm1d(4)), nn.BatchNorm2d(4))
    model[2].eval()
    before = {name: value.data_ptr() for name, value in model.state_dict().items()}
    parameters = [id(one) for one in model.parameters()]

    synchronise_batch_norm(model, World(0, 2), CPU)

    assert {name: value.data_ptr() for name, value in model.state_dict().items()} == before
    assert [id(one) for one in model.parameters()] == parameters
    assert [one.training for one in (model[1][0], model[2])] == [True, False]  # type: ignore[index]
    assert {type(one).__name__ for one in model.modules()} == {
        *("Sequential", "Linear", "CpuSyncBatchNorm")
    }


class ActivatingBatchNorm(nn.BatchNorm2d):
    """Does more than normalise, as some libraries' batch norms do."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).relu()


def test_a_batch_norm_that_does_more_is_refused_where_it_learns() -> None:
    with pytest.raises(ConfigError, match="class ActivatingBatchNorm cannot count the images of"):
        synchronise_batch_norm(nn.Sequential(ActivatingBatchNorm(4)), World(0, 2), CPU)


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, ActivatingBatchNorm])
def test_a_frozen_batch_norm_stays(kind: type[nn.BatchNorm2d]) -> None:
    model = nn.Sequential(kind(4).requires_grad_(False))

    synchronise_batch_norm(model, World(0, 2), CPU)

    assert type(model[0]) is kind


def test_one_process_keeps_its_batch_norm() -> None:
    model = nn.Sequential(nn.BatchNorm2d(4))

    synchronise_batch_norm(model, World(), CPU)

    assert type(model[0]) is nn.BatchNorm2d
