"""Taking back a step: bit for bit what was there before, whatever the step did."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fdmo_core.randomness import rng_for, seeded
from fdmo_core.testing.expectations import differing, snapshot
from fdmo_core.undoing import remember, remember_buffers

Make = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "fused Adam": lambda those: torch.optim.Adam(those, lr=0.1, fused=True),
    "SGD": lambda those: torch.optim.SGD(those, lr=0.1),
    "SGD with momentum": lambda those: torch.optim.SGD(those, lr=0.1, momentum=0.9),
}


def network() -> nn.Module:
    with seeded(0, "network"):
        model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    model.register_buffer("unsaved", torch.zeros(2), persistent=False)
    return model


def learn(model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    optimizer.zero_grad()
    loss: Tensor = model(torch.randn(6, 4, generator=rng_for(0, step))).square().mean()
    loss.backward()
    optimizer.step()
    model.get_buffer("unsaved").add_(1)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("steps_before", [0, 2])
def test_what_comes_after_an_undone_step_is_as_without_it(name: str, steps_before: int) -> None:
    plain, undone = network(), network()
    optimizers = [OPTIMIZERS[name](list(one.parameters())) for one in (plain, undone)]
    for step in range(steps_before):
        learn(plain, optimizers[0], step)
        learn(undone, optimizers[1], step)

    undo = remember(undone, {"all": optimizers[1]})
    learn(undone, optimizers[1], 99)
    optimizers[1].param_groups[0]["lr"] = 7.0
    undo()
    for step in (5, 6):
        learn(plain, optimizers[0], step)
        learn(undone, optimizers[1], step)

    assert differing(snapshot(plain), snapshot(undone)) == []
    assert torch.equal(undone.get_buffer("unsaved"), plain.get_buffer("unsaved"))


def test_buffers_alone_leave_the_weights() -> None:
    model = network()
    optimizer = OPTIMIZERS["SGD"](list(model.parameters()))
    before = snapshot(model)

    undo = remember_buffers(model)
    learn(model, optimizer, 0)
    undo()

    changed = differing(before, snapshot(model))
    assert changed
    assert all(name.endswith(("weight", "bias")) for name in changed)
