"""How a check states what it expects, and what the checks of all kinds have in common."""

import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor, nn

from fdmo_core.randomness import seeded


class Check(Protocol):
    """A named function of a component class and its config."""

    __name__: str

    def __call__(self, component: type[Any], config: Any) -> None:
        """Raise an AssertionError if the component breaks the rule."""
        ...


class NotApplicable(SkipTest):
    """A check asks for something that this component, or this machine, does not have.

    It carries the reason as a sentence; a test that raises it is shown as skipped.
    """


def expect(condition: object, wrong: str, *, read: str) -> None:
    """Raise an AssertionError with what is wrong and what to read, unless the condition holds.

    Args:
        condition: What must be true.
        wrong: What is wrong and what was expected, whole sentences.
        read: The name below ``fdmo_core`` whose docstring says so.
    """
    if not condition:
        raise AssertionError(f"{wrong} See fdmo_core.{read}.")


def expect_tensor(
    tensor: Tensor, shape: tuple[int | None, ...], dtype: torch.dtype, *, what: str, read: str
) -> None:
    """Check shape, dtype and finiteness; None in the shape stands for any size above 0."""
    found = tuple(tensor.shape)
    fits = len(found) == len(shape) and all(
        size == wanted or (wanted is None and size > 0)
        for size, wanted in zip(found, shape, strict=True)
    )
    wanted = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
    expect(fits, f"{what} has shape {found}. Expected {wanted}.", read=read)
    expect(tensor.dtype == dtype, f"{what} has dtype {tensor.dtype}. Expected {dtype}.", read=read)
    expect(
        not dtype.is_floating_point or tensor.isfinite().all(),
        f"{what} holds infinite values or NaN. Expected finite numbers.",
        read=read,
    )


def built(component: type[Any], config: Any, *, seed: int = 0, **facts: Any) -> Any:
    """Return an instance whose initial weights depend on the seed alone."""
    with seeded(seed, "contract-weights"):
        return component(config, **facts)


def expect_built(component: type[Any], interface: type[Any], config: Any, **facts: Any) -> None:
    """Check that an instance can be made and is one of the interface."""
    seed = torch.initial_seed()
    try:
        instance = component(config, **facts)
    except Exception as error:
        raise AssertionError(
            f"Construction raises {type(error).__name__}: {error}. Expected an instance, made "
            f"from the config and the runtime facts. See fdmo_core.{interface.__name__}."
        ) from error
    expect(
        isinstance(instance, interface),
        f"Construction gives {instance!r}. Expected a {interface.__name__}.",
        read=interface.__name__,
    )
    expect(
        torch.initial_seed() == seed,
        "Construction seeds PyTorch's global random generator, so that the seed of the run no "
        "longer decides what is drawn. Expected no call of torch.manual_seed.",
        read=interface.__name__,
    )


@contextmanager
def expect_no_global_randomness(
    what: str, *, read: str, module: nn.Module | None = None
) -> Iterator[None]:
    """Check that the block leaves all global random generators as they are.

    Args:
        what: Whose code runs in the block.
        read: As in :func:`expect`.
        module: Where it has dropout, PyTorch's generator may advance: dropout knows no other, and
            the engine seeds it at each step.
    """
    before = _global_states()
    yield
    after = _global_states()
    if module is not None and any("Dropout" in type(layer).__name__ for layer in module.modules()):
        after["torch"] = before["torch"]
    changed = [name for name, state in before.items() if after[name] != state]
    expect(
        not changed,
        f"{what} uses the global random generator of {', '.join(changed)}. Expected draws from "
        f"the generator that it is given, or from its seed.",
        read=read,
    )


def _global_states() -> dict[str, object]:
    legacy: Any = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (legacy[1].tobytes(), *legacy[2:]),
        "random": random.getstate(),
    }


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a module's state that later steps do not change."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def differing(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> list[str]:
    """Return the names under which two states are not equal bit for bit."""
    return [
        name
        for name in sorted({*before, *after})
        if name not in before or name not in after or not torch.equal(before[name], after[name])
    ]


def expect_optimized(
    module: nn.Module, optimizers: Mapping[str, torch.optim.Optimizer], *, read: str
) -> None:
    """Check that each trainable parameter has one optimizer, and each optimizer only such."""
    names = {id(one): name for name, one in module.named_parameters() if one.requires_grad}
    stepped = [
        id(one)
        for optimizer in optimizers.values()
        for group in optimizer.param_groups
        for one in group["params"]
    ]
    missing = [name for key, name in names.items() if key not in stepped]
    expect(
        not missing,
        f"No optimizer holds {', '.join(missing)}. Expected every trainable parameter in one of "
        f"optimizers(); set requires_grad to False on what is not learned.",
        read=read,
    )
    expect(
        len(stepped) == len(set(stepped)),
        "A parameter is in two optimizers. Expected each in one.",
        read=read,
    )
    expect(
        set(stepped) <= set(names),
        "An optimizer holds a parameter that is no trainable parameter of the module itself, so "
        "that a checkpoint would lack it. Expected the module's own parameters.",
        read=read,
    )


def expect_terms(terms: Mapping[str, float], *, read: str) -> None:
    """Check that the terms for the log are finite floats by name."""
    odd = {
        name: value
        for name, value in terms.items()
        if not (isinstance(name, str) and isinstance(value, float) and np.isfinite(value))
    }
    expect(not odd, f"The terms {odd!r} are not finite floats by name. Expected such.", read=read)


def expect_all_changed(module: nn.Module, before: Mapping[str, Any], *, by: str, read: str) -> None:
    """Check that each trainable parameter differs from what :func:`snapshot` found before."""
    changed = differing(before, snapshot(module))
    still = [
        name
        for name, weight in module.named_parameters()
        if weight.requires_grad and name not in changed
    ]
    expect(
        not still,
        f"{by} do not change {', '.join(still)}. Expected a gradient for everything trainable; "
        f"set requires_grad to False on what is not learned.",
        read=read,
    )


def without_gradient(named: Iterable[tuple[str, Tensor]]) -> list[str]:
    """Return the names of what should have a gradient and has none, or only zeros."""
    return [
        name
        for name, weight in named
        if weight.requires_grad and (weight.grad is None or not weight.grad.any())
    ]
