"""The file: valid, with names and types of the contract, proven before it appears, or none."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import Tensor, nn

from fdmo_core.config import Run
from fdmo_core.errors import ExportError, RunFolderError
from fdmo_core.model_building import initial_network
from fdmo_core.registry import Registry
from fdmo_core.run_folder import TrainedRun, load_run, save_model
from fdmo_core.samples import Sample, Splits
from fdmo_export.contract import OPSET
from fdmo_export.opening import describe_file
from fdmo_export.runtime import OnnxClassifier
from fdmo_export.verify import require_answers, verify_file
from fdmo_export.write import Export, ExportOptions, export_run, make_room, parity_path


@pytest.fixture(scope="module")
def model(onnx_file: Path) -> onnx.ModelProto:
    return onnx.load(onnx_file, load_external_data=False)


class Empty:
    """A split without samples."""

    labels = np.empty(0, dtype=np.int64)

    def __getitem__(self, index: int) -> Sample:
        raise IndexError(index)

    def source(self, index: int) -> str:
        raise IndexError(index)


@pytest.fixture(scope="module")
def without_validation(
    trained: TrainedRun, tiny_splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> Export:
    """An export over an older one, with its weights beside it, of data without validation."""
    path = tmp_path_factory.mktemp("new") / "folder" / "net.onnx"
    path.parent.mkdir()
    path.write_text("of the last export")
    splits = replace(tiny_splits, val=Empty())
    return export_run(trained, splits, path, overwrite=True, max_weight_bytes=0)


@pytest.fixture(scope="module")
def letterboxed(
    trained: TrainedRun, tiny_splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> Export:
    """An export without preprocessing, with a licence, whose evidence is few images."""
    options = ExportOptions(preprocessing=False, max_images=5, license="CC0-1.0")
    path = tmp_path_factory.mktemp("plain") / "model.onnx"
    return export_run(trained, tiny_splits, path, options)


@pytest.fixture(scope="module")
def of_features(
    feature_splits: Splits,
    tiny_run: Callable[..., Run],
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Export:
    folder = tmp_path_factory.mktemp("features")
    save_model(folder, initial_network(tiny_run(), feature_splits), tiny_run(), feature_splits)
    return export_run(load_run(folder, registry), feature_splits, folder / "model.onnx")


def shape_of(value: onnx.ValueInfoProto) -> list[Any]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_the_file_passes_the_full_check(onnx_file: Path) -> None:
    onnx.checker.check_model(onnx_file, full_check=True)


def test_the_outputs_are_those_of_the_contract(model: onnx.ModelProto, trained: TrainedRun) -> None:
    width = sum(trained.model.stream_dims)

    assert {one.name: shape_of(one) for one in model.graph.output} == {
        "probabilities": ["batch", 12],
        "logits": ["batch", 12],
        "features": ["batch", width],
        "landmarks": ["batch", 8, 2],
        "visibility": ["batch", 8],
    }
    assert {one.type.tensor_type.elem_type for one in model.graph.output} == {TensorProto.FLOAT}
    assert {one.domain: one.version for one in model.opset_import} == {"": OPSET}


def test_the_file_holds_its_weights_itself(model: onnx.ModelProto, exported: Export) -> None:
    assert not any(one.external_data for one in model.graph.initializer)
    assert exported.external_data is None
    names = sorted(path.name for path in exported.path.parent.iterdir())
    assert names == ["model.onnx", "parity.json"]


def test_only_what_the_answer_needs_is_in_the_file(
    model: onnx.ModelProto, trained: TrainedRun
) -> None:
    names = " ".join(one.name for one in model.graph.initializer)

    assert "texture_extractor" in names
    assert "landmark_head" in names
    assert "auxiliary_classifier" not in names


def test_what_was_found_is_returned_and_written_beside_the_file(exported: Export) -> None:
    found = json.loads((exported.path.parent / "parity.json").read_text())

    assert found == exported.as_dict()
    assert found.keys() == {"file", "parity", "precision", "prior", "external_data"}
    assert found["file"] == "model.onnx"
    assert found["parity"]["images"]["images"] == 24


def test_the_file_proves_itself(exported: Export) -> None:
    require_answers(verify_file(exported.path, ["cpu"]))


def test_without_validation_images_training_or_test_images_are_compared(
    without_validation: Export,
) -> None:
    assert without_validation.parity.split == "test"
    assert without_validation.parity.images is not None
    assert without_validation.parity.images.images == 24
    assert without_validation.prior.images == 0
    metadata = describe_file(without_validation.path).metadata
    assert metadata["thresholds"]["probability"] == [None] * 12


def test_an_older_file_is_replaced_if_that_is_asked_for(without_validation: Export) -> None:
    folder = without_validation.path.parent

    names = sorted(path.name for path in folder.iterdir())
    assert names == ["net.onnx", "net.onnx.data", "net.parity.json"]
    require_answers(verify_file(without_validation.path, ["cpu"]))


def test_weights_beside_the_file_are_reported(without_validation: Export) -> None:
    found = without_validation.external_data

    assert found is not None
    assert found["file"] == "net.onnx.data"
    assert found == describe_file(without_validation.path).metadata["external_data"]
    parity = json.loads(parity_path(without_validation.path).read_text())
    assert parity["external_data"] == found


def test_without_preprocessing_letterboxed_images_are_compared(
    letterboxed: Export, images: Tensor
) -> None:
    classifier = OnnxClassifier(letterboxed.path)

    assert letterboxed.parity.images is None
    assert not classifier.takes_whole_images
    assert classifier.run(images.numpy())["probabilities"].shape == (21, 12)
    assert classifier.metadata["preprocessing"]["in_graph"] is False
    require_answers(verify_file(letterboxed.path, ["cpu"]))


def test_options_reach_the_metadata(letterboxed: Export) -> None:
    metadata = describe_file(letterboxed.path).metadata

    assert metadata["license"] == "CC0-1.0"
    assert metadata["prior"]["images"] == 5


def test_a_network_for_features_is_exported_alike(of_features: Export) -> None:
    classifier = OnnxClassifier(of_features.path)

    found = classifier.run(np.zeros((5, 8), dtype=np.float32))
    assert {name: value.shape for name, value in found.items()} == {
        "probabilities": (5, 3),
        "logits": (5, 3),
    }
    assert (classifier.feature_dim, of_features.parity.images) == (8, None)
    assert len(describe_file(of_features.path).golden_examples()) == 8
    require_answers(verify_file(of_features.path, ["cpu"]))


class Deceiving(nn.Module):
    """A classifier that answers otherwise while it is traced."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.classifier(features)
        return -scores if torch.compiler.is_exporting() else scores


def test_a_file_that_disagrees_is_not_written_and_the_last_one_stays(
    trained: TrainedRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    broken = replace(trained, model=deepcopy(trained.model))
    broken.model.main_classifier = Deceiving(broken.model.main_classifier)
    names = ("model.onnx", "model.onnx.data", "parity.json")
    for name in names:
        (tmp_path / name).write_text("of the last export")

    with pytest.raises(ExportError, match=r"disagrees with the trained network:\n  batch of 1: "):
        export_run(
            broken,
            tiny_splits,
            tmp_path / "model.onnx",
            ExportOptions(preprocessing=False),
            overwrite=True,
        )

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        names, "of the last export"
    )


def test_a_network_that_answers_with_nan_is_not_exported(
    trained: TrainedRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    broken = replace(trained, model=deepcopy(trained.model))
    with torch.no_grad():
        next(broken.model.main_classifier.parameters()).fill_(float("nan"))

    with pytest.raises(ExportError) as caught:
        export_run(broken, tiny_splits, tmp_path / "model.onnx")

    assert str(caught.value) == (
        f"The network answers 24 of 24 samples with scores that are not finite. Expected numbers. "
        f"Look in log.jsonl where the losses of {trained.folder} left them, and train again."
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("taken", ["model.onnx", "model.onnx.data"])
def test_a_file_that_is_there_is_refused_before_anything_is_done(
    trained: TrainedRun, tiny_splits: Splits, tmp_path: Path, taken: str
) -> None:
    (tmp_path / taken).write_text("mine")

    with pytest.raises(ExportError) as caught:
        export_run(trained, tiny_splits, tmp_path / "model.onnx")

    assert str(caught.value) == (
        f"{tmp_path}/{taken} is there already. Expected the name of a file that is not. Choose "
        f"another one with --out, or replace the file with --overwrite."
    )
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_parity_beside_a_file_of_another_name_bears_that_name() -> None:
    assert parity_path(Path("a/model.onnx")) == Path("a/parity.json")
    assert parity_path(Path("a/int8.onnx")) == Path("a/int8.parity.json")


def test_room_is_made_with_all_folders_above(tmp_path: Path) -> None:
    make_room(tmp_path / "a" / "b" / "model.onnx")

    assert (tmp_path / "a" / "b").is_dir()
    assert not (tmp_path / "a" / "b" / "model.onnx").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_the_file_s_name_is_refused(tmp_path: Path, overwrite: bool) -> None:
    with pytest.raises(ExportError) as caught:
        make_room(tmp_path, overwrite=overwrite)

    assert str(caught.value) == (
        f"{tmp_path} is a folder. Expected the name of the file to write. Pass for instance --out "
        f"{tmp_path}/model.onnx."
    )


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(RunFolderError, match=r"Cannot write .*/file/model.onnx: File exists"):
        make_room(tmp_path / "file" / "model.onnx")
