"""What is not finite in a step: which terms, gradients and weights, and which of its images."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor


class BadTensor(NamedTuple):
    """A gradient or a weight that is not finite.

    Attributes:
        kind: ``"gradient"`` or ``"weight"``.
        name: Of the parameter or buffer in its module.
        share: How much of it is infinite or NaN, in [0, 1].
        norm: Length of its finite part. Where all of it is finite, too long to be squared.
    """

    kind: Literal["gradient", "weight"]
    name: str
    share: float
    norm: float

    def __str__(self) -> str:
        how = f"{100 * self.share:.3g} % of it" if self.share else f"of length {self.norm:.3g}"
        return f"{self.kind} of {self.name} ({how})"


class BadBatch(NamedTuple):
    """The images or features of a step, and which of them are to blame.

    Attributes:
        labels: Shape ``(B,)``, int64.
        is_bad: Shape ``(B,)``, bool.
        rows: Places in the split; None where they are no images. Shape ``(B,)``, int64.
        split: That the places are of.
    """

    labels: Tensor
    is_bad: Tensor
    rows: Tensor | None = None
    split: str = "train"


class Fault(NamedTuple):
    """All that is not finite in one step.

    Attributes:
        terms: Of the step, finite ones included.
        tensors: Gradients and weights.
        batch: None where it is not known.
        rates: Of the optimizers, by name.
    """

    terms: Mapping[str, float]
    tensors: Sequence[BadTensor] = ()
    batch: BadBatch | None = None
    rates: Mapping[str, float] = {}


def all_finite(*groups: Sequence[Tensor]) -> Tensor:
    """Return the length of all tensors together, which is finite only if they all are.

    A finite gradient that cannot be squared counts as infinite, for it would stop Adam for good.

    Returns:
        Shape ``()``, on the device; reading it waits for the device.
    """
    tensors = [tensor for group in groups for tensor in group]
    return torch.nn.utils.get_total_norm(tensors, foreach=True)  # 0 of none


def bad_gradients(named: Mapping[str, Tensor]) -> list[BadTensor]:
    """Return the gradients that Adam cannot take, by name of the parameter."""
    return [
        _describe_tensor("gradient", name, one)
        for name, one in named.items()
        if not bool(one.square().isfinite().all())
    ]


def bad_weights(named: Mapping[str, Tensor]) -> list[BadTensor]:
    """Return the parameters and buffers that are not finite, by name."""
    return [
        _describe_tensor("weight", name, one)
        for name, one in named.items()
        if not bool(one.isfinite().all())
    ]


def _describe_tensor(kind: Literal["gradient", "weight"], name: str, tensor: Tensor) -> BadTensor:
    finite = tensor.isfinite()
    norm = tensor[finite].double().norm()
    return BadTensor(kind, name, 1 - float(finite.double().mean()), float(norm))


def learning_rates(optimizers: Mapping[str, torch.optim.Optimizer]) -> dict[str, float]:
    """Return the rate of each optimizer; of several groups that of the first."""
    return {name: float(one.param_groups[0]["lr"]) for name, one in optimizers.items()}


def floating(named: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return those of a state that are tensors of numbers that can be infinite."""
    return {
        name: one
        for name, one in named.items()
        if isinstance(one, Tensor) and one.is_floating_point() and one.numel() > 0
    }
