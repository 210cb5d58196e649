"""The exported file in another application: onnxruntime and numpy, no torch."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from torch import Tensor

from fdmo_core.config import Run
from fdmo_core.data import some_images
from fdmo_core.errors import ExportError
from fdmo_core.model_building import initial_network
from fdmo_core.registry import Registry
from fdmo_core.run_folder import TrainedRun, load_run, save_model
from fdmo_core.samples import Splits
from fdmo_export.contract import METADATA_ENTRIES, METADATA_KEY, OUTPUTS, OUTPUTS_OF_FEATURES
from fdmo_export.graph import DeployedClassifier
from fdmo_export.runtime import OnnxClassifier
from fdmo_export.write import export_run

Edit = Callable[[Callable[[onnx.ModelProto], None]], Path]

APPLICATION = """
import sys
from pathlib import Path

import numpy as np

from fdmo_export.runtime import OnnxClassifier

classifier = OnnxClassifier(Path(sys.argv[1]))
images = np.zeros((5, 3, classifier.image_size, classifier.image_size), dtype=np.uint8)
shapes = [value.shape for value in classifier.run(images).values()]
print(shapes, "torch" in sys.modules)
"""
FOREIGN = "Use a file that this version of 'fdmo export onnx' wrote."


def describe(change: Callable[[str], str]) -> Callable[[onnx.ModelProto], None]:
    """Return an edit of what the file says of itself."""

    def edit(model: onnx.ModelProto) -> None:
        (entry,) = (one for one in model.metadata_props if one.key == METADATA_KEY)
        entry.value = change(entry.value)

    return edit


def test_an_application_runs_the_file_without_torch(onnx_file: Path) -> None:
    command = [sys.executable, "-c", APPLICATION, str(onnx_file)]

    result = subprocess.run(command, capture_output=True, text=True, check=True)

    assert result.stdout.startswith("[(5, 12), (5, 12), (5, ")
    assert result.stdout.endswith(")] False\n")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17])
def test_batches_of_any_size_answer_as_torch_does(
    onnx_file: Path, deployed: DeployedClassifier, images: Tensor, size: int
) -> None:
    found = OnnxClassifier(onnx_file).run(images[:size].numpy())

    assert tuple(found) == OUTPUTS
    for name, expected in zip(OUTPUTS, deployed(images[:size]), strict=True):
        assert found[name].dtype == np.float32
        # float32 sums in another order
        np.testing.assert_allclose(found[name], expected.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_an_image_is_answered_alike_alone_and_in_company(onnx_file: Path, images: Tensor) -> None:
    classifier = OnnxClassifier(onnx_file)

    together = classifier.run(images.numpy())["probabilities"]

    alone = [classifier.run(one[None].numpy())["probabilities"][0] for one in images]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)


def test_the_file_says_which_classes_and_images_it_knows(
    onnx_file: Path, trained: TrainedRun
) -> None:
    classifier = OnnxClassifier(onnx_file)

    assert classifier.class_names == trained.class_names
    assert classifier.image_size == 24


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 3, 24, 24), dtype=np.float32),
        np.zeros((1, 3, 24, 24), dtype=np.int64),
        np.zeros((3, 24, 24), dtype=np.uint8),
        np.zeros((1, 24, 24, 3), dtype=np.uint8),
        np.zeros((2, 3, 24, 25), dtype=np.uint8),
    ],
    ids=lambda wrong: f"{wrong.dtype}-{wrong.shape}",
)
def test_other_shapes_and_types_are_an_error(onnx_file: Path, wrong: Any) -> None:
    with pytest.raises(ExportError) as caught:
        OnnxClassifier(onnx_file).run(wrong)

    assert str(caught.value) == (
        f"Images have shape {wrong.shape} and type {wrong.dtype}. Expected (B, 3, 24, 24) of "
        f"uint8, RGB. Letterbox them first; docs/onnx.md says how."
    )


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        OnnxClassifier(tmp_path / "model.onnx")

    assert str(caught.value) == (
        f"{tmp_path}/model.onnx is not there. Expected an ONNX file. Write one with 'fdmo export "
        f"onnx RUN'."
    )


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_file_is_an_error(onnx_file: Path, tmp_path: Path, share: float) -> None:
    content = onnx_file.read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(content[: int(share * len(content))])

    with pytest.raises(ExportError) as caught:
        OnnxClassifier(path)

    message = str(caught.value)
    assert message.startswith(f"{path} cannot be loaded: ")
    assert message.endswith("that 'fdmo export onnx' wrote. Export the run again.")


def test_a_file_that_another_tool_wrote_is_an_error(tmp_path: Path) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph([node], "foreign", ends[:1], ends[1:])
    opset = helper.make_opsetid("", 20)
    path = tmp_path / "foreign.onnx"
    onnx.save_model(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)

    with pytest.raises(ExportError) as caught:
        OnnxClassifier(path)

    assert str(caught.value) == f"{path} has fdmo metadata of format None. Expected 1. {FOREIGN}"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('{"format": 2}', "2"),
        ("{}", "None"),
        ("[1]", "'[1]'"),
        ("{no", "'{no'"),
        ("null", "'null'"),
    ],
)
def test_metadata_of_another_format_is_an_error(edited: Edit, content: str, found: str) -> None:
    path = edited(describe(lambda _: content))

    with pytest.raises(ExportError) as caught:
        OnnxClassifier(path)

    assert str(caught.value) == f"{path} has fdmo metadata of format {found}. Expected 1. {FOREIGN}"


@pytest.mark.parametrize("entry", METADATA_ENTRIES)
def test_a_file_that_lost_an_entry_is_an_error(edited: Edit, entry: str) -> None:
    def lose(text: str) -> str:
        return json.dumps(
            {name: value for name, value in json.loads(text).items() if name != entry}
        )

    path = edited(describe(lose))

    with pytest.raises(ExportError) as caught:
        OnnxClassifier(path)

    assert str(caught.value) == (
        f"{path} was changed after its export: it lacks {entry}. Expected what 'fdmo export onnx' "
        f"writes. Export the run again."
    )


def test_a_file_that_lost_an_output_is_an_error(edited: Edit) -> None:
    def lose(model: onnx.ModelProto) -> None:
        del model.graph.output[OUTPUTS.index("features")]

    path = edited(lose)

    with pytest.raises(ExportError, match="it lacks features"):
        OnnxClassifier(path)


@pytest.fixture(scope="module")
def classifier_of_features(
    feature_splits: Splits,
    tiny_run: Callable[..., Run],
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> OnnxClassifier:
    folder = tmp_path_factory.mktemp("features")
    save_model(folder, initial_network(tiny_run(), feature_splits), tiny_run(), feature_splits)
    inputs, split = some_images(feature_splits, 16)
    export_run(load_run(folder, registry), inputs, folder / "model.onnx", split=split)
    return OnnxClassifier(folder / "model.onnx")


def test_a_classifier_of_features_says_which_length_it_takes(
    classifier_of_features: OnnxClassifier,
) -> None:
    found = classifier_of_features.run(np.zeros((5, 8), dtype=np.float32))

    assert (classifier_of_features.feature_dim, classifier_of_features.image_size) == (8, 0)
    assert {name: value.shape for name, value in found.items()} == dict.fromkeys(
        OUTPUTS_OF_FEATURES, (5, 3)
    )


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 8), dtype=np.float64),
        np.zeros((2, 9), dtype=np.float32),
        np.zeros(8, dtype=np.float32),
        np.zeros((1, 3, 24, 24), dtype=np.uint8),
    ],
    ids=lambda wrong: f"{wrong.dtype}-{wrong.shape}",
)
def test_other_features_are_an_error(classifier_of_features: OnnxClassifier, wrong: Any) -> None:
    with pytest.raises(ExportError) as caught:
        classifier_of_features.run(wrong)

    assert str(caught.value) == (
        f"Features have shape {wrong.shape} and type {wrong.dtype}. Expected (B, 8) of float32. "
        f"Compute them as those that the classifier was trained on."
    )
