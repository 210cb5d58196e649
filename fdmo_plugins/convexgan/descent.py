"""How each player of a game learns: one step that changes this player and nobody else."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fdmo_core.settings import AdamBetas


def make_adam(module: nn.Module, *, learning_rate: float, betas: AdamBetas) -> torch.optim.Adam:
    """Return the optimizer of one player."""
    return torch.optim.Adam(module.parameters(), lr=learning_rate, betas=betas, fused=True)


def descend(
    objective: Tensor, parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer
) -> float:
    """Do one step on the objective for some of an optimizer's parameters; return its value.

    Whatever else the objective depends on, an opponent or the classifier, gets no gradient.

    Args:
        objective: Shape ``()``.
        parameters: What it depends on and what shall learn; all others of the optimizer stay.
        optimizer: Holds the parameters.
    """
    optimizer.zero_grad()
    slopes = torch.autograd.grad(objective, parameters)
    for parameter, slope in zip(parameters, slopes, strict=True):
        parameter.grad = slope
    optimizer.step()
    return objective.item()
