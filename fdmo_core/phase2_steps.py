"""A rebalancer's steps, with a look at the numbers after each: terms, weights and statistics.

What a step does is the rebalancer's own affair. What is wrong is found afterwards, and a step that
is skipped is taken back.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fdmo_core.faults import (
    BadBatch,
    Fault,
    all_finite,
    bad_gradients,
    bad_weights,
    floating,
    learning_rates,
)
from fdmo_core.interfaces import Loss, Rebalancer
from fdmo_core.nonfinite import NumberGuard
from fdmo_core.undoing import remember

DoStep = Callable[[int, torch.Generator], Mapping[str, float] | None]
Call = tuple[Loss, Tensor, Tensor]  # with logits and labels


@contextmanager
def guarded_steps(rebalancer: Rebalancer, guard: NumberGuard) -> Iterator[DoStep]:
    """Yield what does a step and returns its terms, or None for a step that is skipped.

    It raises a :class:`~fdmo_core.errors.NonFiniteError` if the run is to stop.

    Args:
        rebalancer: Changed in place.
        guard: Says what is wrong, and whether the phase goes on.
    """
    calls: list[Call] = []
    hooks = [
        module.register_forward_hook(partial(_keep_call, calls), with_kwargs=True)
        for module in rebalancer.modules()
        if isinstance(module, Loss)
    ]

    def do_step(index: int, rng: torch.Generator) -> Mapping[str, float] | None:
        calls.clear()
        undo = remember(rebalancer, rebalancer.optimizers()) if guard.skips else None
        terms = rebalancer.step(index, rng)
        fault = _fault(rebalancer, terms, list(calls))
        if fault is None:
            guard.passed(index, terms)
            return terms
        guard.refuse(index, fault)
        assert undo is not None
        undo()
        return None

    try:
        yield do_step
    finally:
        for hook in hooks:
            hook.remove()


def _keep_call(
    calls: list[Call], loss: Loss, args: tuple[Any, ...], kwargs: dict[str, Any], value: Tensor
) -> None:
    """Keep what a loss was asked, for the step may have to say which classes are to blame."""
    given = dict(zip(("logits", "labels"), args, strict=False)) | kwargs
    calls.append((loss, given["logits"].detach(), given["labels"]))


@torch.no_grad()
def _fault(rebalancer: Rebalancer, terms: Mapping[str, float], calls: list[Call]) -> Fault | None:
    """Return what is not finite after a step; None if nothing is."""
    held = rebalancer.state_dict()
    finite = all(map(math.isfinite, terms.values()))
    if finite and math.isfinite(float(all_finite(list(floating(held).values())))):
        return None
    weights = bad_weights(floating(held))
    if finite and not weights:  # all are finite, and together too long for a float
        return None
    slopes = {name: one.grad for name, one in rebalancer.named_parameters() if one.grad is not None}
    rates = learning_rates(rebalancer.optimizers())
    return Fault(terms, [*bad_gradients(slopes), *weights], _bad_batch(calls), rates)


def _bad_batch(calls: list[Call]) -> BadBatch | None:
    """Return what the losses were asked of, and which of it alone is not finite."""
    if not calls:
        return None
    is_bad = [_is_bad(call, row) for call in calls for row in range(len(call[2]))]
    labels = torch.cat([labels for _, _, labels in calls])
    return BadBatch(labels.cpu(), torch.tensor(is_bad))


@torch.enable_grad()
def _is_bad(call: Call, row: int) -> bool:
    """Return whether one feature's scores, loss or slope is not finite."""
    loss, logits, labels = call
    one = slice(row, row + 1)
    own = logits[one].clone().requires_grad_()
    value = loss(own, labels[one])
    if not bool(own.isfinite().all()) or not bool(value.isfinite()):
        return True
    if not value.requires_grad:
        return False
    (slope,) = torch.autograd.grad(value, own, allow_unused=True)
    return slope is not None and not bool(slope.isfinite().all())
