import pytest
import torch
from torch import nn

from fdmo_plugins.convexgan.descent import descend


def test_a_descent_steps_along_the_gradient_of_the_named_parameters_only() -> None:
    mine, other = nn.Parameter(torch.tensor([3.0])), nn.Parameter(torch.tensor([5.0]))
    optimizer = torch.optim.SGD([mine, other], lr=0.1)

    value = descend((mine * other).sum(), [mine], optimizer)

    assert value == 15
    assert mine.item() == pytest.approx(3 - 0.1 * 5)
    assert other.item() == 5
    assert other.grad is None


def test_a_descent_forgets_the_gradients_of_the_one_before() -> None:
    mine = nn.Parameter(torch.tensor([3.0]))
    optimizer = torch.optim.SGD([mine], lr=0.1)

    for _ in range(2):
        descend(mine.sum(), [mine], optimizer)

    assert mine.item() == pytest.approx(3 - 0.2)
