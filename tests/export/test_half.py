"""Half precision inside, float32 outside, letterbox and dials untouched."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from fdmo_export.half import to_half
from fdmo_export.network_part import NetworkPart, cut, put_back
from fdmo_export.sessions import open_session


@pytest.fixture(scope="module")
def part(exact: onnx.ModelProto) -> NetworkPart:
    return cut(exact)


@pytest.fixture(scope="module")
def half(exact: onnx.ModelProto, part: NetworkPart) -> onnx.ModelProto:
    return put_back(exact, to_half(part, set()))


def test_the_file_is_valid_and_takes_and_gives_what_the_fp32_file_does(
    exact: onnx.ModelProto, half: onnx.ModelProto
) -> None:
    onnx.checker.check_model(half, full_check=True)

    assert list(half.graph.input) == list(exact.graph.input)
    assert list(half.graph.output) == list(exact.graph.output)


def test_weights_of_layers_are_fp16_and_halve_the_part(half: onnx.ModelProto) -> None:
    stored = {one.name: one for one in half.graph.initializer}
    convolutions = [one for one in half.graph.node if one.op_type == "Conv"]
    layers = [one for one in convolutions if "landmark" not in one.input[1]]

    assert len(layers) == 12
    assert {stored[one.input[1]].data_type for one in layers} == {TensorProto.FLOAT16}
    landmark = [one for one in convolutions if "landmark" in one.input[1]]
    assert {stored[one.input[1]].data_type for one in landmark} == {TensorProto.FLOAT}


def test_the_answers_are_close(exact: onnx.ModelProto, half: onnx.ModelProto) -> None:
    image = torch.randint(256, (2, 40, 70, 3), generator=torch.Generator().manual_seed(1)).byte()
    feed = {"image": image.numpy(), "box": np.array([[3, 2, 60, 39]], dtype=np.float32)}

    for ours, theirs in zip(
        open_session(half).run(None, feed), open_session(exact).run(None, feed), strict=True
    ):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=5e-3 * max(1, np.abs(theirs).max()))


def test_dials_and_box_lose_no_digit(exact: onnx.ModelProto, half: onnx.ModelProto) -> None:
    """65,504 is the largest number of 16 bits; the default box is 1e9."""
    stored = {one.name: numpy_helper.to_array(one) for one in half.graph.initializer}
    before = {one.name: numpy_helper.to_array(one) for one in exact.graph.initializer}

    for name in ("box", "tau", "target_prior"):
        np.testing.assert_array_equal(stored[name], before[name])
    casts = [one for one in half.graph.node if one.op_type == "Cast" and one.input[0] in stored]
    assert casts == []


def test_sums_over_many_numbers_stay_at_fp32(half: onnx.ModelProto) -> None:
    kinds = {
        one.name: one.type.tensor_type.elem_type
        for one in onnx.shape_inference.infer_shapes(half).graph.value_info
    }
    sums = [one for one in half.graph.node if one.op_type in ("ReduceMean", "ReduceL2")]

    assert sums
    assert {kinds.get(one.input[0], TensorProto.FLOAT) for one in sums} == {TensorProto.FLOAT}


def test_a_layer_can_stay_at_fp32(part: NetworkPart) -> None:
    first = next(iter(part.layers))

    model = to_half(part, {first})

    (node,) = [one for one in model.graph.node if one.name == first]
    stored = {one.name: one.data_type for one in model.graph.initializer}
    assert stored[node.input[1]] == TensorProto.FLOAT


def test_the_same_part_gives_the_same_bytes(part: NetworkPart) -> None:
    assert to_half(part, set()).SerializeToString() == to_half(part, set()).SerializeToString()
