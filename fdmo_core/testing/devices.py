"""On a CUDA device a component does what it does on the CPU."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fdmo_core.interfaces import DrawnFeatures, FeatureDictionary, FeatureGenerator, Rebalancer
from fdmo_core.randomness import rng_for
from fdmo_core.testing import dictionaries
from fdmo_core.testing.expectations import NotApplicable, expect
from fdmo_core.testing.generators import LABELS, drawn_for, generator_of
from fdmo_core.testing.rebalancers import rebalancer_of, stepped
from fdmo_core.testing.specimens import as_tuple, specimen_of
from fdmo_core.testing.toys import CPU, STREAM_DIMS

TOLERANCE = 1e-2  # of the largest value: a GPU may multiply with shorter numbers (TF32)
READ = "interfaces"


def check_does_the_same_on_cuda(component: type[Any], config: Any) -> None:
    """Moved to a CUDA device it gives what it gives on the CPU, up to rounding."""
    if not torch.cuda.is_available():
        raise NotApplicable("PyTorch finds no CUDA device here, so that this is untested.")
    expect_the_same_on(torch.device("cuda"), component, config)


def expect_the_same_on(device: torch.device, component: type[Any], config: Any) -> None:
    """Check that a component's results on a device are those on the CPU, up to rounding.

    Args:
        device: Where to compute once more.
        component: Of any kind but a data set.
        config: An instance of its config class.
    """
    results_of = next(one for kind, one in _RESULTS_OF.items() if issubclass(component, kind))
    wanted = results_of(CPU, component, config)
    try:
        found = results_of(device, component, config)
    except Exception as error:  # a stranger's code may raise anything
        raise AssertionError(
            f"On {device} it raises {type(error).__name__}: {error}. Expected it to compute there: "
            f"make new tensors on the device of those that it is given, and hold its own in "
            f"parameters and buffers. See fdmo_core.{READ}."
        ) from error
    for one, other in zip(found, wanted, strict=True):
        expect(
            one.shape == other.shape and (one - other).abs().max() <= TOLERANCE * other.abs().max(),
            f"On {device} a result is {_excerpt(one)}, and {_excerpt(other)} on the CPU. Expected "
            f"the same up to rounding; draw from the given generator, which is on the CPU.",
            read=READ,
        )


@torch.no_grad()
def _module(device: torch.device, component: type[Any], config: Any) -> list[Tensor]:
    found = specimen_of(component, config)
    found.module.to(device)
    outputs = found.module(*(one.to(device) for one in found.inputs))
    return [one.cpu() for one in as_tuple(outputs)]


def _dictionary(device: torch.device, component: type[Any], config: Any) -> list[Tensor]:
    dictionary = dictionaries.dictionary_of(component, config)
    dictionary.to(device)
    drawn = dictionaries.draw_of(dictionary, samples_per_class=4)
    sampled = dictionary.sample(torch.tensor(dictionaries.LABELS), rng_for(0, "sample"))
    return [one.float().cpu() for one in (drawn.features(), drawn.rows, drawn.groups, sampled)]


@torch.no_grad()
def _generator(device: torch.device, component: type[Any], config: Any) -> list[Tensor]:
    generator, drawn = generator_of(component, config, device=device), drawn_for(LABELS)
    there = DrawnFeatures(
        *(one.to(device) for one in (drawn.store, drawn.rows, drawn.mask, drawn.groups))
    )
    made = generator(torch.tensor(LABELS, device=device), there, rng_for(0, "contract-make"))
    return [made.features.cpu()]


def _rebalancer(device: torch.device, component: type[Any], config: Any) -> list[Tensor]:
    rebalancer = rebalancer_of(component, config, device=device)
    stepped(rebalancer, range(1))
    with torch.no_grad():
        logits = rebalancer.classifier(torch.ones(3, sum(STREAM_DIMS), device=device))
    return [logits.cpu()]


def _excerpt(tensor: Tensor) -> str:
    return ", ".join(f"{value:g}" for value in tensor.flatten()[:4].tolist())


_RESULTS_OF: dict[type[Any], Callable[[torch.device, type[Any], Any], list[Tensor]]] = {
    FeatureDictionary: _dictionary,
    FeatureGenerator: _generator,
    Rebalancer: _rebalancer,
    object: _module,
}
