"""One step of Adam in phase 1, done only if all that it would learn from is finite."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fdmo_core.faults import (
    BadBatch,
    BadTensor,
    Fault,
    all_finite,
    bad_gradients,
    bad_weights,
    floating,
    learning_rates,
)
from fdmo_core.interfaces import LandmarkPrediction
from fdmo_core.nonfinite import NumberGuard
from fdmo_core.phase1_network import Predictions
from fdmo_core.undoing import remember_buffers
from fdmo_core.world import World

Losses = Callable[[Predictions, Tensor, Tensor], Mapping[str, Tensor]]


class Seen(NamedTuple):
    """What a step of phase 1 saw, for telling which images are to blame.

    Attributes:
        inputs: Of this process. Shape ``(B', ...)``.
        found: Predictions for the images of all processes.
        labels: Shape ``(B,)``, int64.
        landmarks: Shape ``(B, K, 3)``, float32.
        rows: Of all processes. Shape ``(B,)``, int64.
        losses: Of predictions, labels and landmarks.
        world: The processes.
    """

    inputs: Tensor
    found: Predictions
    labels: Tensor
    landmarks: Tensor
    rows: Tensor
    losses: Losses
    world: World


class GuardedDescent:
    """Adam's steps in phase 1, refused where a number is not finite.

    Args:
        model: What learns.
        optimizer: Of its parameters.
        scaler: Of fp16's slopes; where it is used, it looks at the gradients itself.
        guard: Says what is wrong, and whether the phase goes on.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        guard: NumberGuard,
    ) -> None:
        self._optimizer, self._scaler, self._guard = optimizer, scaler, guard
        self._model = model
        learning = {name: one for name, one in model.named_parameters() if one.requires_grad}
        self._parameters = floating(learning)
        self._buffers = floating(dict(model.named_buffers()))
        self.begin_step()

    def begin_step(self) -> None:
        """Keep what the network changes by itself while it computes."""
        self._undo = remember_buffers(self._model) if self._guard.skips else None

    def step(self, index: int, losses: Mapping[str, Tensor], seen: Seen) -> dict[str, float] | None:
        """Learn from the losses and return them with their sum; None if the step is skipped.

        One look at the device serves terms, gradients and statistics, another one the weights.

        Args:
            index: Of the step.
            losses: By name, each of shape ``()``.
            seen: Where they are from.

        Raises:
            NonFiniteError: Something is not finite, and the step is not skipped.
        """
        total = torch.stack(list(losses.values())).sum()
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(total).backward()
        with torch.no_grad():
            length = all_finite(self._slopes(), list(self._buffers.values())).float()
            seen.world.sum(length)  # a plugin's buffers may be the process's own
            numbers = [total, *losses.values(), length]
            *terms, whole = torch.stack([one.detach().float() for one in numbers]).tolist()
        named = dict(zip(("sum", *losses), terms, strict=True))
        if not _is_finite([*terms, whole]) and (fault := self._fault(named, seen)) is not None:
            self._guard.refuse(index, fault)
            assert self._undo is not None
            self._undo()
            self._optimizer.zero_grad(set_to_none=True)
            return None
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._require_finite_weights(index, named)
        self._guard.passed(index, named)
        return named

    def _slopes(self) -> list[Tensor]:
        if self._scaler.is_enabled():  # fp16 overflows now and then, and its scaler skips the step
            return []
        return [one.grad for one in self._parameters.values() if one.grad is not None]

    @torch.no_grad()
    def _require_finite_weights(self, index: int, terms: Mapping[str, float]) -> None:
        if not _is_finite([float(all_finite(list(self._parameters.values())))]):
            bad = bad_weights(self._parameters)
            if bad:
                fault = Fault(terms, bad, rates=self._rates())
                self._guard.refuse(index, fault, can_skip=False)

    def _fault(self, terms: Mapping[str, float], seen: Seen) -> Fault | None:
        """Return what is wrong; None if only the length of all numbers together overflowed."""
        slopes = {name: one.grad for name, one in self._parameters.items() if one.grad is not None}
        tensors: list[BadTensor] = []
        if not self._scaler.is_enabled():
            tensors += bad_gradients(slopes)
        tensors += bad_weights(self._buffers)
        if seen.world.all(_is_finite(list(terms.values())) and not tensors):
            return None
        is_bad = bad_rows(seen, [name for name, one in terms.items() if not _is_finite([one])])
        batch = BadBatch(seen.labels.cpu(), is_bad.cpu(), seen.rows.cpu())
        return Fault(terms, tensors, batch, self._rates())

    def _rates(self) -> dict[str, float]:
        return learning_rates({"all": self._optimizer})


def _is_finite(numbers: list[float]) -> bool:
    return all(map(math.isfinite, numbers))


def bad_rows(seen: Seen, terms: list[str]) -> Tensor:
    """Return which images of a step are to blame: by input, or by their own terms and slopes.

    Batch normalisation spreads what is not finite from one image over all, so inputs come first.

    Args:
        seen: The step.
        terms: Names of those that are not finite; if there are none, all terms count.

    Returns:
        Shape ``(B,)``, bool.
    """
    finite = seen.inputs.flatten(1).isfinite().all(dim=1).float()
    by_input = seen.world.join(finite, len(seen.labels)) == 0
    if by_input.any():
        return by_input
    return torch.tensor([_is_bad(seen, row, terms) for row in range(len(seen.labels))])


def _is_bad(seen: Seen, row: int, terms: list[str]) -> bool:
    """Return whether an image alone has a prediction, a term or a slope that is not finite."""
    one = slice(row, row + 1)
    leaves: list[Tensor] = []

    def alone(tensor: Tensor | None) -> Tensor | None:
        if tensor is None:
            return None
        leaves.append(tensor[one].detach().requires_grad_())
        return leaves[-1]

    landmarks = seen.found.landmarks and LandmarkPrediction(
        *(tensor[one].detach().requires_grad_() for tensor in seen.found.landmarks)
    )
    leaves += landmarks or ()
    found = Predictions(alone(seen.found.main), alone(seen.found.auxiliary), landmarks)
    if not all(bool(leaf.isfinite().all()) for leaf in leaves):
        return True
    losses = seen.losses(found, seen.labels[one], seen.landmarks[one])
    chosen = [loss for name, loss in losses.items() if name in terms or not terms]
    if not all(bool(loss.isfinite()) for loss in chosen):
        return True
    learned = [loss for loss in chosen if loss.requires_grad]
    slopes = torch.autograd.grad(learned, leaves, allow_unused=True) if learned else ()
    return not all(bool(slope.isfinite().all()) for slope in slopes if slope is not None)
