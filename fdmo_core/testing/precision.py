"""What is computed in phase 1 stays finite in bfloat16."""

from typing import Any

import torch
from torch import Tensor, nn

from fdmo_core.interfaces import Extractor
from fdmo_core.testing.expectations import expect
from fdmo_core.testing.specimens import Specimen, as_tuple, specimen_of

READ = "compute.ComputeConfig"
ENOUGH = 2  # samples: batch norm needs two, and many a CPU is slow at bfloat16


def check_stays_finite_in_bf16(component: type[Any], config: Any) -> None:
    """Under autocast to bfloat16 it gives finite numbers, and finite gradients in training."""
    found = specimen_of(component, config)
    network = found.module.train()
    if isinstance(network, Extractor):
        nn.Sequential(*network.stages[: network.num_frozen_stages]).eval().requires_grad_(False)
    for name, tensor in _in_bf16(found).items():
        expect(
            tensor.isfinite().all(),
            f"Under autocast to bfloat16 {name} holds infinite values or NaN. Expected finite "
            f"numbers, as with precision = 'bf16': divide by nothing that may round to 0, and use "
            f"float() where more digits are needed.",
            read=READ,
        )


def _in_bf16(found: Specimen) -> dict[str, Tensor]:
    """Return outputs and gradients by what a message calls them."""
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = as_tuple(found.module(*(one[:ENOUGH] for one in found.inputs)))
        total = torch.stack([one.float().square().mean() for one in outputs]).sum()
        if total.requires_grad:  # not where all of it is frozen
            total.backward()
    except Exception as error:  # a stranger's code may raise anything
        raise AssertionError(
            f"Under autocast to bfloat16 it raises {type(error).__name__}: {error}. Expected it to "
            f"compute: layers may give bfloat16 there, so convert where dtypes meet. See "
            f"fdmo_core.{READ}."
        ) from error
    slopes = {
        f"the gradient of {name}": weight.grad
        for name, weight in found.module.named_parameters()
        if weight.grad is not None
    }
    return {f"output {index}": one for index, one in enumerate(outputs)} | slopes
