"""The part of the graph that another precision touches: the layers and what lies between them."""

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from fdmo_export.contract import INPUT_BOX, INPUT_TARGET_PRIOR, INPUT_TAU
from fdmo_export.network_part import cut, put_back, with_outputs
from fdmo_export.sessions import open_session


def run(model: onnx.ModelProto, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    found: list[NDArray[np.float32]] = open_session(model).run(None, {"image": images})
    return found


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    shape = (3, 31, 20, 3)
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(0)).byte().numpy()


def test_the_part_put_back_unchanged_gives_the_same_bits(
    exact: onnx.ModelProto, pictures: NDArray[np.uint8]
) -> None:
    same = put_back(exact, cut(exact).model)

    onnx.checker.check_model(same, full_check=True)
    for ours, theirs in zip(run(same, pictures), run(exact, pictures), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_cutting_and_putting_back_leave_the_graph_as_it_is(exact: onnx.ModelProto) -> None:
    before = exact.SerializeToString()

    put_back(exact, cut(exact).model)

    assert exact.SerializeToString() == before


def test_the_layers_are_those_that_the_scores_depend_on(exact: onnx.ModelProto) -> None:
    part = cut(exact)
    kinds = {one.name: one.op_type for one in part.model.graph.node}

    assert [kinds[one] for one in part.layers].count(
        "Conv"
    ) == 12  # 2 streams of 4 and a block of 2
    assert [kinds[one] for one in part.layers][-1] == "Gemm"
    assert not any("landmark" in weights for weights in part.layers.values())
    assert "texture_block.layers.0" in part.layers.values()


def test_letterbox_dials_and_softmax_are_outside(exact: onnx.ModelProto) -> None:
    part = cut(exact).model.graph
    read = {value for one in part.node for value in one.input}
    outside = {one.op_type for one in exact.graph.node} - {one.op_type for one in part.node}

    assert not read & {"image", INPUT_BOX, INPUT_TARGET_PRIOR, INPUT_TAU}
    assert {"Softmax", "Log", "Round", "Floor", "ArgMax", "Sigmoid"} <= outside
    assert len([one for one in part.node if one.op_type == "MatMul"]) == 0  # the letterbox has two


def test_what_goes_into_the_part_are_normalised_pixels(
    exact: onnx.ModelProto, pictures: NDArray[np.uint8]
) -> None:
    name = cut(exact).model.graph.input[0].name
    square = np.zeros((1, 24, 24, 3), dtype=np.uint8)
    square[..., 1] = 255

    (found,) = open_session(with_outputs(exact, [name])).run([name], {"image": square})

    assert found.shape == (1, 3, 24, 24)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(found[0, :, 5, 7], (np.array([0, 1, 0]) - mean) / std, rtol=1e-5)


def test_a_constant_that_both_sides_read_may_change_inside_alone(
    exact: onnx.ModelProto, pictures: NDArray[np.uint8]
) -> None:
    part = cut(exact).model
    inside = {one.name for one in part.graph.initializer}
    stored = {one.name for one in exact.graph.initializer}
    shared = [one for one in part.graph.initializer if one.name not in stored]
    assert shared  # the axis or the floor of a norm is also the letterbox's or the dials'

    for one in shared:
        one.name += ".other"
    for node in part.graph.node:
        names = {value for value in node.input} & (inside - stored)
        node.input[:] = [value + ".other" if value in names else value for value in node.input]
    changed = put_back(exact, part)

    for ours, theirs in zip(run(changed, pictures), run(exact, pictures), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_no_constant_and_no_node_is_there_twice(exact: onnx.ModelProto) -> None:
    graph = put_back(exact, cut(exact).model).graph

    for names in ([one.name for one in graph.initializer], [one.name for one in graph.node]):
        assert len(names) == len(set(names))


def test_a_graph_without_layers_has_none() -> None:
    value = onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["batch", 2])
    logits = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 2])
    node = onnx.helper.make_node("Mul", ["features", "two"], ["logits"], name="times")
    two = numpy_helper.from_array(np.array(2, dtype=np.float32), "two")
    graph = onnx.helper.make_graph([node], "plain", [value], [logits], [two])

    assert cut(onnx.helper.make_model(graph)).layers == {}
