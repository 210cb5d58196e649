import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from fdmo_core.interfaces import Loss
from fdmo_core.testing.expectations import (
    differing,
    expect,
    expect_built,
    expect_no_global_randomness,
    expect_optimized,
    expect_tensor,
)


def test_a_message_says_what_is_wrong_and_what_to_read() -> None:
    with pytest.raises(AssertionError) as caught:
        expect(False, "It is 3. Expected 4.", read="Loss.forward")

    assert str(caught.value) == "It is 3. Expected 4. See fdmo_core.Loss.forward."


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("torch", lambda: torch.rand(())),
        ("torch", lambda: torch.manual_seed(0)),
        ("numpy", lambda: np.random.rand()),
        ("random", lambda: random.random()),
    ],
)
def test_each_global_generator_is_watched(name: str, draw: Callable[[], object]) -> None:
    torch.manual_seed(1)

    with (
        pytest.raises(AssertionError, match=f"It uses the global random generator of {name}."),
        expect_no_global_randomness("It", read="Loss"),
    ):
        draw()


def test_a_generator_that_is_passed_in_may_be_used() -> None:
    with expect_no_global_randomness("It", read="Loss"):
        torch.rand((), generator=torch.Generator().manual_seed(0))
        np.random.default_rng(0).random()


def test_dropout_may_draw_from_pytorch_s_generator_and_nothing_else() -> None:
    dropout = nn.Sequential(nn.Dropout())

    with expect_no_global_randomness("It", read="Loss", module=dropout):
        dropout(torch.ones(3))
    with (
        pytest.raises(AssertionError, match="generator of random"),
        expect_no_global_randomness("It", read="Loss", module=dropout),
    ):
        random.random()


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(2, 3), r"X has shape \(2, 3\). Expected \(any, 4\)"),
        (torch.ones(0, 4), r"X has shape \(0, 4\)"),
        (torch.ones(4), r"X has shape \(4,\)"),
        (torch.ones(2, 4).double(), "X has dtype torch.float64. Expected torch.float32"),
        (torch.full((2, 4), float("nan")), "X holds infinite values or NaN"),
    ],
)
def test_shape_dtype_and_finiteness_are_told_apart(tensor: torch.Tensor, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        expect_tensor(tensor, (None, 4), torch.float32, what="X", read="Loss")


def test_states_differ_where_a_value_or_a_name_differs() -> None:
    one, other = torch.ones(2), torch.zeros(2)

    assert differing({"a": one, "b": one}, {"a": one, "b": other, "c": one}) == ["b", "c"]


def test_a_parameter_belongs_into_one_optimizer() -> None:
    layer = nn.Linear(2, 2)
    optimizers = {name: torch.optim.SGD(layer.parameters()) for name in ("first", "second")}

    with pytest.raises(AssertionError, match="A parameter is in two optimizers"):
        expect_optimized(layer, optimizers, read="Loss")


def test_an_optimizer_steps_the_module_s_own_parameters_only() -> None:
    layer, stranger = nn.Linear(2, 2), nn.Linear(2, 2)
    weights = [*layer.parameters(), *stranger.parameters()]

    with pytest.raises(AssertionError, match="no trainable parameter of the module itself"):
        expect_optimized(layer, {"all": torch.optim.SGD(weights)}, read="Loss")


class Reseeding(Loss):
    """Decides for all of the run what is drawn."""

    def __init__(self, config: object, *, class_counts: torch.Tensor) -> None:
        super().__init__(config, class_counts=class_counts)
        torch.manual_seed(0)

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return logits.sum()


def test_a_constructor_that_seeds_everything_is_told() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        with pytest.raises(AssertionError, match=r"torch\.manual_seed"):
            expect_built(Reseeding, Loss, None, class_counts=torch.ones(3))
