"""Eight-bit integers inside, float32 outside, letterbox and dials untouched, safe on every CPU."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from fdmo_core.samples import Splits
from fdmo_export.network_part import NetworkPart, cut, put_back, with_outputs
from fdmo_export.quantization import measure_ranges, quantize
from fdmo_export.sessions import Letterboxed, answers, open_session

Quantized = Callable[[set[str]], onnx.ModelProto]


@pytest.fixture(scope="module")
def part(exact: onnx.ModelProto) -> NetworkPart:
    return cut(exact)


@pytest.fixture(scope="module")
def lower(exact: onnx.ModelProto, part: NetworkPart, tiny_splits: Splits) -> Quantized:
    """A function that returns the whole graph at int8, some layers apart."""
    names = [one.name for one in part.model.graph.input]
    images = Letterboxed(tiny_splits.train, np.arange(len(tiny_splits.train.labels)), 24)
    ranges = measure_ranges(part, answers(with_outputs(exact, names), names, images))
    return lambda keep: put_back(exact, quantize(part, ranges, keep))


@pytest.fixture(scope="module")
def int8(lower: Quantized) -> onnx.ModelProto:
    return lower(set())


def stored(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}


def weights_of(model: onnx.ModelProto, layer: str) -> tuple[NDArray[Any], ...]:
    """The stored weights of a layer, and their scales if they are quantised."""
    (node,) = [one for one in model.graph.node if one.name == layer]
    maker = {value: one for one in model.graph.node for value in one.output}
    arrays = stored(model)
    if node.input[1] in arrays:
        return (arrays[node.input[1]],)
    quantised = maker[node.input[1]]
    assert quantised.op_type == "DequantizeLinear"
    return arrays[quantised.input[0]], arrays[quantised.input[1]]


def test_the_file_is_valid_and_takes_and_gives_what_the_fp32_file_does(
    exact: onnx.ModelProto, int8: onnx.ModelProto
) -> None:
    onnx.checker.check_model(int8, full_check=True)

    assert list(int8.graph.input) == list(exact.graph.input)
    assert list(int8.graph.output) == list(exact.graph.output)
    for name in ("box", "tau", "target_prior"):
        np.testing.assert_array_equal(stored(int8)[name], stored(exact)[name])


def test_every_layer_has_int8_weights_with_a_scale_for_each_output_channel(
    part: NetworkPart, int8: onnx.ModelProto
) -> None:
    for layer in part.layers:
        weights, scales = weights_of(int8, layer)

        assert weights.dtype == np.int8
        assert scales.shape in ((weights.shape[0],), (weights.shape[1],))
        assert len(scales) > 1


def test_two_products_never_leave_sixteen_bits(part: NetworkPart, int8: onnx.ModelProto) -> None:
    """Without VNNI, onnxruntime adds two products of uint8 and int8 in 16 bits, which saturate."""
    for layer in part.layers:
        weights = weights_of(int8, layer)[0].astype(np.int64)
        assert 2 * 255 * np.abs(weights).max() <= 2**15 - 1


def test_a_processor_that_saturates_gives_the_sums_of_one_that_does_not(
    int8: onnx.ModelProto,
) -> None:
    careful = onnxruntime.SessionOptions()
    careful.log_severity_level = 3
    careful.add_session_config_entry("session.x64quantprecision", "1")  # no 16-bit sums
    session = onnxruntime.InferenceSession(
        int8.SerializeToString(), careful, providers=["CPUExecutionProvider"]
    )
    image = {"image": np.full((1, 24, 24, 3), 255, dtype=np.uint8)}

    for ours, theirs in zip(
        open_session(int8).run(None, image), session.run(None, image), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_each_weight_is_within_half_a_step_of_what_it_was(
    part: NetworkPart, exact: onnx.ModelProto, int8: onnx.ModelProto
) -> None:
    layer = next(iter(part.layers))
    weights, scales = weights_of(int8, layer)
    (before,) = weights_of(exact, layer)

    steps = scales.reshape(-1, 1, 1, 1).astype(np.float64)
    assert np.abs(weights * steps - before).max() <= 0.5 * steps.max() + 1e-6


def test_mixed_sizes_with_boxes_are_answered_closely(
    exact: onnx.ModelProto, int8: onnx.ModelProto, tiny_splits: Splits
) -> None:
    canvas = np.zeros((2, 90, 70, 3), dtype=np.uint8)
    boxes = []
    for row in range(2):
        image = tiny_splits.val[row].image
        canvas[row, : image.shape[0], : image.shape[1]] = image
        boxes.append([0, 0, image.shape[1] - row, image.shape[0]])
    feed = {"image": canvas, "box": np.array(boxes, dtype=np.float32)}
    names = ["logits", "features"]

    for ours, theirs in zip(
        open_session(int8).run(names, feed), open_session(exact).run(names, feed), strict=True
    ):
        assert ours.dtype == np.float32
        assert np.abs(ours - theirs).max() <= 0.1 * np.abs(theirs).max()


def test_scores_are_not_rounded_to_256_steps(int8: onnx.ModelProto) -> None:
    maker = {value: one.op_type for one in int8.graph.node for value in one.output}
    before_scores = {
        maker.get(one.input[0])
        for one in int8.graph.node
        if one.op_type == "QuantizeLinear" and maker.get(one.input[0]) == "Gemm"
    }

    assert before_scores == set()


def test_between_two_convolutions_there_is_one_pair_and_no_relu(int8: onnx.ModelProto) -> None:
    kinds = [one.op_type for one in int8.graph.node]
    layers = [
        one
        for one in int8.graph.node
        if one.op_type == "Conv" and "dequant" in one.input[1].lower()
    ]
    read = {value for one in layers for value in one.output}
    after = {one.op_type for one in int8.graph.node if read & set(one.input)}

    assert len(layers) == 12
    assert after == {"QuantizeLinear"}
    assert kinds.count("QuantizeLinear") == 16  # pixels, 12 convolutions, 2 pools, features


def test_a_layer_that_is_kept_has_float_weights(part: NetworkPart, lower: Quantized) -> None:
    first, second, *_ = part.layers

    model = lower({first})

    assert weights_of(model, first)[0].dtype == np.float32
    assert weights_of(model, second)[0].dtype == np.int8


def test_the_same_images_give_the_same_bytes(lower: Quantized, int8: onnx.ModelProto) -> None:
    assert lower(set()).SerializeToString() == int8.SerializeToString()


def test_ranges_hold_every_value_that_was_seen() -> None:
    weight = numpy_helper.from_array(np.eye(2, dtype=np.float32)[..., None, None], "weight")
    value = onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, 1, 1])
    result = onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2, 1, 1])
    node = onnx.helper.make_node("Conv", ["x", "weight"], ["y"], name="same")
    graph = onnx.helper.make_graph([node], "one", [value], [result], [weight])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])
    model.ir_version = 10
    batches = torch.randn(3, 4, 2, 1, 1, generator=torch.Generator().manual_seed(0))

    ranges = measure_ranges(
        NetworkPart(model, {"same": "weight"}), [{"x": one.numpy()} for one in batches]
    )

    for name in ("x", "y"):
        low, high = (one.item() for one in ranges[name].range_value)
        assert (low, high) == (float(batches.min()), float(batches.max()))
