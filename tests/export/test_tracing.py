"""The traced model: what it takes, what its dials do, and that nothing is there twice."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from fdmo_core.errors import ExportError
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.model_building import build_model
from fdmo_export.contract import OPSET
from fdmo_export.graph import DeployedClassifier
from fdmo_export.tracing import trace

FROZEN = {"channels": [4, 8], "freeze_stages": 1}


def open_session(content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def model(onnx_file: Path) -> onnx.ModelProto:
    return onnx.load(onnx_file)


@pytest.fixture(scope="module")
def session(onnx_file: Path) -> Any:
    return open_session(onnx_file.read_bytes())


@pytest.fixture(scope="module")
def shared(
    tiny_run: Callable[..., Any],
    share: Callable[[TwoStreamClassifier], TwoStreamClassifier],
    source_prior: Tensor,
) -> DeployedClassifier:
    """Two streams with a frozen stage in common; without preprocessing and landmarks."""
    run = tiny_run(texture_stream=FROZEN, shape_stream=FROZEN)
    network = share(build_model(run, num_classes=12, num_landmarks=8)).eval()
    with torch.no_grad():  # what is not frozen has learned something else in each stream
        for one in network.shape_extractor.stages[-1].parameters():
            one.add_(0.1)
    return DeployedClassifier(
        network, image_size=24, num_landmarks=0, source_prior=source_prior, preprocessing=False
    ).eval()


@pytest.fixture(scope="module")
def shared_model(shared: DeployedClassifier, images: Tensor) -> onnx.ModelProto:
    return trace(shared, images[:1])


def shape_of(value: onnx.ValueInfoProto) -> list[Any]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_images_have_any_batch_height_and_width(model: onnx.ModelProto) -> None:
    image, prior, tau, box = model.graph.input

    assert [one.name for one in model.graph.input] == ["image", "target_prior", "tau", "box"]
    assert image.type.tensor_type.elem_type == TensorProto.UINT8
    assert shape_of(image) == ["batch", "height", "width", 3]
    assert (shape_of(prior), shape_of(tau), shape_of(box)) == ([12], [], ["boxes", 4])


def test_without_preprocessing_images_have_any_batch(shared_model: onnx.ModelProto) -> None:
    assert [one.name for one in shared_model.graph.input] == ["images", "target_prior", "tau"]
    assert shape_of(shared_model.graph.input[0]) == ["batch", 3, 24, 24]


def test_every_input_but_the_first_has_a_default(model: onnx.ModelProto) -> None:
    defaults = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}

    assert "image" not in defaults
    assert defaults["tau"] == 1.0
    assert defaults["box"].tolist() == [[0.0, 0.0, 1e9, 1e9]]
    assert defaults["target_prior"].sum() == pytest.approx(1.0)


def test_the_operator_set_is_the_declared_one(model: onnx.ModelProto) -> None:
    assert {one.domain: one.version for one in model.opset_import} == {"": OPSET}


@pytest.mark.parametrize("shape", [(1, 24, 24), (2, 24, 24), (5, 40, 31), (1, 300, 7), (3, 1, 1)])
def test_any_batch_and_size_runs(session: Any, shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)

    probabilities, landmarks = session.run(["probabilities", "landmarks"], {"image": pixels})

    assert probabilities.shape == (shape[0], 12)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert landmarks.shape == (shape[0], 8, 2)
    alone = session.run(["probabilities"], {"image": pixels[-1:]})[0]
    np.testing.assert_allclose(probabilities[-1:], alone, rtol=1e-4, atol=1e-6)


def test_one_box_for_all_and_a_box_for_each_image(session: Any) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)
    box = np.array([[5, 3, 30, 33]], dtype=np.float32)

    for_all = session.run(["logits"], {"image": pixels, "box": box})[0]
    for_each = session.run(["logits"], {"image": pixels, "box": box.repeat(3, axis=0)})[0]
    cut = session.run(["logits"], {"image": np.ascontiguousarray(pixels[:, 3:33, 5:30])})[0]

    np.testing.assert_allclose(for_all, for_each, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(for_all, cut, rtol=1e-4, atol=1e-5)


def test_dials_do_in_the_file_what_they_do_in_the_module(
    session: Any, images: Tensor, model: onnx.ModelProto
) -> None:
    source = next(
        numpy_helper.to_array(one) for one in model.graph.initializer if one.name == "target_prior"
    )
    pixels = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
    target = np.array([0.4] + [0.6 / 11] * 11, dtype=np.float32)

    plain = session.run(["logits"], {"image": pixels})[0]
    moved = session.run(
        ["logits"],
        {"image": pixels, "target_prior": target, "tau": np.array(0.5, dtype=np.float32)},
    )[0]

    np.testing.assert_allclose(moved, plain + 0.5 * np.log(target / source), rtol=1e-4, atol=1e-5)


def test_no_weight_is_there_twice_and_none_is_unused(model: onnx.ModelProto) -> None:
    contents = Counter(
        (one.data_type, tuple(one.dims), one.raw_data)
        for one in model.graph.initializer
        if one.name not in {"tau", "box", "target_prior"}  # defaults of inputs are their own
    )
    used = {name for node in model.graph.node for name in node.input}

    assert max(contents.values()) == 1
    assert {one.name for one in model.graph.initializer} <= used


def test_the_tracer_leaves_no_notes(model: onnx.ModelProto) -> None:
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert not model.graph.value_info
    assert str(Path(__file__).parents[2]).encode() not in model.SerializeToString()


def test_what_the_streams_share_is_there_once(
    shared: DeployedClassifier, shared_model: onnx.ModelProto
) -> None:
    network = shared.model
    assert isinstance(network, TwoStreamClassifier)
    assert network.landmark_head is not None
    in_prefix = [
        one
        for stage in network.shared_stages
        for one in stage.modules()
        if isinstance(one, nn.Conv2d)
    ]
    in_all = [one for one in network.modules() if isinstance(one, nn.Conv2d)]
    of_heads = [one for one in network.landmark_head.modules() if isinstance(one, nn.Conv2d)]

    assert in_prefix
    found = [node for node in shared_model.graph.node if node.op_type == "Conv"]
    assert len(found) == len(in_all) - len(in_prefix) - len(of_heads)
    weights = [numpy_helper.to_array(one) for one in shared_model.graph.initializer]
    for one in in_prefix:
        own = one.weight.detach().numpy()
        same = [w for w in weights if w.shape == own.shape and np.allclose(unit(w), unit(own))]
        assert len(same) == 1


def unit(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each channel's weights at length 1: normalisation that follows scales them."""
    lengths = np.sqrt((weights**2).sum(axis=(1, 2, 3), keepdims=True))
    result: NDArray[np.float32] = weights / lengths
    return result


def test_the_shared_graph_answers_as_the_module(
    shared: DeployedClassifier, shared_model: onnx.ModelProto, images: Tensor
) -> None:
    found = open_session(shared_model.SerializeToString()).run(
        ["logits"], {"images": images.numpy()}
    )

    with torch.no_grad():
        _, expected, _ = shared(images, shared.source_prior, torch.tensor(1.0))
    np.testing.assert_allclose(found[0], expected.numpy(), rtol=1e-4, atol=1e-5)


def test_a_network_that_branches_on_values_is_refused(
    shared: DeployedClassifier, source_prior: Tensor, images: Tensor
) -> None:
    class Branching(nn.Module):
        input_dim = 0

        def prefix(self, inputs: Tensor) -> Tensor:
            return inputs if bool(inputs.mean() > 0.5) else -inputs

    module = DeployedClassifier(
        Branching(),  # type: ignore[arg-type]
        image_size=24,
        num_landmarks=0,
        source_prior=source_prior,
        preprocessing=False,
    )

    with pytest.raises(ExportError) as caught:
        trace(module, images[:2])

    message = str(caught.value)
    assert message.startswith("The network cannot be written as ONNX: ")
    assert message.endswith(
        " Expected extractors without branches that depend on the values of images. Change the "
        "extractor, or choose another one."
    )
