"""From maps to predictions, and the predictions of all processes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.interfaces import LandmarkPrediction
from fdmo_core.maps import MapBatch
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.model_building import build_model
from fdmo_core.phase1_network import Predictions, join_predictions, phase1_network
from fdmo_core.randomness import rng_for
from fdmo_core.world import World, joined_world

InProcesses = Callable[..., list[Any]]
CPU = Compute(torch.device("cpu"))


@pytest.fixture
def model(tiny_run: Callable[..., Run]) -> TwoStreamClassifier:
    return build_model(tiny_run(), num_classes=12, num_landmarks=8).eval()


def images() -> Tensor:
    return torch.rand(3, 3, 24, 24, generator=rng_for(0, "images"))


def test_the_whole_network_predicts_what_the_model_gives(model: TwoStreamClassifier) -> None:
    found = phase1_network(model, CPU, is_shape_only=False)(images())

    expected: Any = model(images())
    assert found.main is not None
    assert found.auxiliary is not None
    assert torch.equal(found.main, expected.logits)
    assert torch.equal(found.auxiliary, expected.shape_stream.auxiliary_logits)
    assert found.landmarks is not None
    assert torch.equal(found.landmarks.heatmaps, expected.shape_stream.landmarks.heatmaps)


def test_the_shape_stream_alone_has_no_main_prediction(model: TwoStreamClassifier) -> None:
    found = phase1_network(model, CPU, is_shape_only=True)(images())

    expected: Any = model.shape_stream(images())
    assert found.main is None
    assert found.auxiliary is not None
    assert torch.equal(found.auxiliary, expected.auxiliary_logits)


@pytest.mark.parametrize(
    ("is_shape_only", "parts"),
    [
        (True, {"shape_extractor", "shape_block", "landmark_head", "auxiliary_classifier"}),
        (False, None),
    ],
)
def test_a_network_holds_the_parameters_that_it_trains_and_no_others(
    model: TwoStreamClassifier, is_shape_only: bool, parts: set[str] | None
) -> None:
    network: Any = phase1_network(model, CPU, is_shape_only=is_shape_only)

    expected = {
        id(parameter)
        for name, part in model.named_children()
        if parts is None or name in parts
        for parameter in part.parameters()
    }
    assert isinstance(network, nn.Module)
    assert {id(one) for one in network.parameters()} == expected


def predictions(rows: int, dtype: torch.dtype = torch.float32) -> Predictions:
    def numbers(*shape: int) -> Tensor:
        return torch.randn(rows, *shape, generator=rng_for(0, "numbers", len(shape))).to(dtype)

    return Predictions(numbers(4), None, LandmarkPrediction(numbers(2, 3, 3), numbers(2)))


def batch(rows: int) -> MapBatch:
    landmarks = torch.randn(rows, 2, 3, generator=rng_for(0, "landmarks"))
    return MapBatch(torch.zeros(rows, 1), landmarks, torch.arange(rows), torch.arange(rows))


def share_of(columns: Any, world: World) -> Any:
    return type(columns)(
        *(
            one
            if one is None
            else share_of(one, world)
            if isinstance(one, tuple)
            else one[world.rows]
            for one in columns
        )
    )


def join(total: int) -> list[Any]:
    with joined_world(torch.device("cpu")) as world:
        found, own = share_of(predictions(total), world), share_of(batch(total), world)
        joined, labels, landmarks = join_predictions(found, own, total, world)
        assert joined.main is not None
        assert joined.landmarks is not None
        assert joined.auxiliary is None
        kinds = (joined.main, *joined.landmarks, labels, landmarks)
        return [one.tolist() for one in kinds]


@pytest.mark.parametrize(("size", "total"), [(2, 5), (3, 2)])
def test_every_process_gets_the_rows_of_all_in_their_order(
    in_processes: InProcesses, size: int, total: int
) -> None:
    found = in_processes(size, join, total)

    everything = predictions(total)
    assert everything.main is not None
    assert everything.landmarks is not None
    kinds = (everything.main, *everything.landmarks, batch(total).labels, batch(total).landmarks)
    assert found == [[one.tolist() for one in kinds]] * size


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_joined_predictions_are_in_float32(dtype: torch.dtype) -> None:
    joined, _, _ = join_predictions(predictions(3, dtype), batch(3), 3, World())

    assert joined.main is not None
    assert joined.landmarks is not None
    assert {one.dtype for one in (joined.main, *joined.landmarks)} == {torch.float32}
