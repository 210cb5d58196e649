"""Device, precision and compilation."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from fdmo_core.compute import Compute, ComputeConfig
from fdmo_core.config import Run
from fdmo_core.model_building import build_model
from fdmo_core.phase1_network import phase1_network

Precision = Literal["fp32", "bf16", "fp16"]
CPU = torch.device("cpu")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Columns(NamedTuple):
    first: Tensor
    second: Tensor


def compute(**options: Any) -> Compute:
    return Compute(CPU, ComputeConfig(**options))


@pytest.mark.parametrize("precision", DTYPES)
def test_products_have_the_configured_precision_inside_and_fp32_outside(
    precision: Precision,
) -> None:
    layer, conv = nn.Linear(4, 4), nn.Conv2d(3, 2, 3)

    with compute(precision=precision).autocast():
        inside = [layer(torch.ones(2, 4)).dtype, conv(torch.ones(1, 3, 4, 4)).dtype]

    assert inside == [DTYPES[precision]] * 2
    assert layer(torch.ones(2, 4)).dtype == layer.weight.dtype == torch.float32


def test_fp32_leaves_an_autocast_that_is_on_elsewhere() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16), compute().autocast():
        assert nn.Linear(4, 4)(torch.ones(2, 4)).dtype == torch.float32


@pytest.mark.parametrize(
    ("precision", "enabled"), [("fp32", False), ("bf16", False), ("fp16", True)]
)
def test_only_fp16_scales_its_slopes(precision: Precision, enabled: bool) -> None:
    scaler = compute(precision=precision).gradient_scaler()

    assert scaler.is_enabled() == enabled
    scaled = scaler.scale(torch.tensor(1.0)).item()
    assert scaled == (scaler.get_scale() if enabled else 1.0)
    assert (scaled > 1) == enabled


def test_batches_for_the_cpu_stay_where_they_are() -> None:
    batch = Columns(torch.ones(2), torch.zeros(2))

    assert compute().pinned(batch) is batch


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_for_a_gpu_are_pinned_and_stay_of_their_kind() -> None:
    batch = Compute(torch.device("cuda")).pinned(Columns(torch.ones(2), torch.zeros(2)))

    assert isinstance(batch, Columns)
    assert all(column.is_pinned() for column in batch)
    assert batch.first.tolist() == [1, 1]


def test_a_step_is_compiled_only_where_the_configuration_asks_for_it(
    tiny_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def compiled(step: object) -> str:
        given.append(step)
        return "compiled"

    monkeypatch.setattr(torch, "compile", compiled)
    model = build_model(tiny_run(), num_classes=12, num_landmarks=8)

    plain: Any = phase1_network(model, compute(), is_shape_only=False)
    assert plain.model is model
    assert given == []
    found: Any = phase1_network(model, compute(compile=True), is_shape_only=False)
    assert found == "compiled"
    assert [type(one) for one in given] == [type(plain)]


def test_another_precision_is_refused() -> None:
    with pytest.raises(ValidationError, match="Input should be 'fp32', 'bf16' or 'fp16'"):
        ComputeConfig(precision="fp8")  # type: ignore[arg-type]
