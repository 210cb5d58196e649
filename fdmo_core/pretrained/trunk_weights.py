"""Load weights into a trunk: all of them fit, or nothing is changed."""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fdmo_core.errors import ConfigError
from fdmo_core.pretrained.trunk import Trunk

NAMED_IN_MESSAGES = 3  # weights, so that a message stays readable


def load_trunk(trunk: Trunk, weights: Mapping[str, Tensor], *, source: str, model: str) -> None:
    """Copy weights into the stages of a trunk.

    Weights of the head may be there or not. So may batch norm's step counters, which PyTorch has
    saved since 2018 only.

    Args:
        trunk: What is changed.
        weights: By their names in the model, as the library writes them.
        source: Where the weights come from, for messages.
        model: What the library calls the model, for messages.

    Raises:
        ConfigError: Weights are missing, of another shape, not finite, or fit nowhere.
    """
    given = {_modern(name): tensor for name, tensor in weights.items()}
    wanted = {
        f"{name}.{key}": tensor
        for stage, names in zip(trunk.stages, trunk.part_names, strict=True)
        for name, part in zip(names, stage, strict=True)
        for key, tensor in part.state_dict().items()
    }
    _check_fit(given, wanted, trunk.head_names, f"{source} does not hold weights of {model}")
    for name in wanted.keys() & given.keys():
        if not given[name].isfinite().all():
            raise ConfigError(
                f"{name} of {source} holds infinite values or NaN. Expected finite weights. "
                f"Choose another file."
            )
    for name, tensor in wanted.items():
        if name in given:
            tensor.copy_(given[name])


def _modern(name: str) -> str:
    """Rename DenseNet's layers, whose published names PyTorch does not allow any more."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name)


def _check_fit(
    given: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    head_names: frozenset[str],
    verdict: str,
) -> None:
    findings = {
        "Missing": [
            name
            for name in wanted.keys() - given.keys()
            if not name.endswith("num_batches_tracked")
        ],
        "Not of this model": [
            name
            for name in given.keys() - wanted.keys()
            if name.partition(".")[0] not in head_names
        ],
        "Of another kind or shape": [
            f"{name} {tuple(given[name].shape)} instead of {tuple(wanted[name].shape)}"
            for name in wanted.keys() & given.keys()
            if not _fits(given[name], wanted[name])
        ],
    }
    told = [f"{what}: {_first(names)}" for what, names in findings.items() if names]
    if told:
        raise ConfigError(
            f"{verdict}. {'. '.join(told)}. Expected the names and shapes of that "
            f"model in its own library. Choose a file of this model, or the model of this file."
        )


def _fits(given: Tensor, wanted: Tensor) -> bool:
    return (
        given.shape == wanted.shape
        and given.layout == torch.strided
        and given.device.type == "cpu"
        and given.is_floating_point() == wanted.is_floating_point()
    )


def _first(names: Sequence[str]) -> str:
    more = len(names) - NAMED_IN_MESSAGES
    shown = ", ".join(sorted(names)[:NAMED_IN_MESSAGES])
    return f"{shown} and {more} more" if more > 0 else shown
