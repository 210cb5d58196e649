"""The file itself: one file, valid, with names and types of the contract, or none at all."""

import json
from copy import deepcopy
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import TensorProto
from torch import Tensor, nn

from fdmo_core.errors import ExportError, RunFolderError
from fdmo_core.run_folder import TrainedRun
from fdmo_core.samples import Splits
from fdmo_export.contract import METADATA_ENTRIES, METADATA_KEY, OPSET, OUTPUTS
from fdmo_export.verify import Comparison
from fdmo_export.write import describe_model, export_run, make_room, require_size


@pytest.fixture(scope="module")
def model(onnx_file: Path) -> onnx.ModelProto:
    return onnx.load(onnx_file, load_external_data=False)


@pytest.fixture
def broken(trained: TrainedRun) -> TrainedRun:
    """A run whose network answers with NaN, with which no file agrees."""
    copy = replace(trained, model=deepcopy(trained.model))
    with torch.no_grad():
        next(copy.model.main_classifier.parameters()).fill_(float("nan"))
    return copy


def shape_of(value: onnx.ValueInfoProto) -> list[Any]:
    dims = value.type.tensor_type.shape.dim
    return [dim.dim_param or dim.dim_value for dim in dims]


def test_the_file_passes_the_full_check(onnx_file: Path) -> None:
    onnx.checker.check_model(onnx_file, full_check=True)


def test_the_input_is_a_dynamic_batch_of_uint8_images(model: onnx.ModelProto) -> None:
    (only,) = model.graph.input

    assert only.name == "images"
    assert only.type.tensor_type.elem_type == TensorProto.UINT8
    assert shape_of(only) == ["batch", 3, 24, 24]


def test_the_outputs_are_those_of_the_contract(model: onnx.ModelProto, trained: TrainedRun) -> None:
    widths = [12, 12, sum(trained.model.stream_dims)]

    assert [one.name for one in model.graph.output] == list(OUTPUTS)
    assert [shape_of(one) for one in model.graph.output] == [["batch", width] for width in widths]
    assert {one.type.tensor_type.elem_type for one in model.graph.output} == {TensorProto.FLOAT}


def test_the_operator_set_is_the_declared_one(model: onnx.ModelProto) -> None:
    assert {one.domain: one.version for one in model.opset_import}[""] == OPSET


def test_the_file_holds_its_weights_itself(model: onnx.ModelProto, onnx_file: Path) -> None:
    assert not any(one.data_location == TensorProto.EXTERNAL for one in model.graph.initializer)
    assert not any(one.external_data for one in model.graph.initializer)
    assert sorted(path.name for path in onnx_file.parent.iterdir()) == ["model.onnx", "parity.json"]


def test_only_what_the_answer_needs_is_in_the_file(
    model: onnx.ModelProto, trained: TrainedRun
) -> None:
    names = " ".join(one.name for one in model.graph.initializer)

    assert trained.model.landmark_head is not None
    assert "texture_extractor" in names
    assert "landmark_head" not in names
    assert "auxiliary_classifier" not in names


def test_the_metadata_describe_classes_preprocessing_versions_and_run(
    model: onnx.ModelProto, trained: TrainedRun, tiny_splits: Splits
) -> None:
    (text,) = (one.value for one in model.metadata_props if one.key == METADATA_KEY)

    entries = json.loads(text)
    assert entries == describe_model(trained)
    assert entries.keys() == {"format", "fdmo", *METADATA_ENTRIES}
    assert entries["format"] == 1
    assert entries["fdmo"] == version("fdmo")
    assert tuple(entries["class_names"]) == tiny_splits.class_names
    assert entries["class_counts"] == tiny_splits.counts("train").tolist()
    assert entries["data_digest"] == tiny_splits.digest
    assert entries["preprocessing"]["image_size"] == 24
    assert entries["config"] == trained.run.as_dict()


def test_class_names_of_any_alphabet_survive(trained: TrainedRun) -> None:
    names = ("kimono \u7740\u7269", 'a "b"\n', *trained.class_names[2:])

    text = json.dumps(describe_model(replace(trained, class_names=names)), ensure_ascii=False)

    assert tuple(json.loads(text)["class_names"]) == names


def test_what_was_compared_is_returned_and_written_beside_the_file(
    exported: tuple[Path, list[Comparison]],
) -> None:
    path, comparisons = exported

    parity = json.loads((path.parent / "parity.json").read_text())
    assert parity == {"split": "val", "comparisons": [one.as_dict() for one in comparisons]}


def test_one_image_is_enough(trained: TrainedRun, images: Tensor, tmp_path: Path) -> None:
    comparisons = export_run(trained, images[:1], tmp_path / "new" / "net.onnx", split="train")

    assert all(one.agrees for one in comparisons)
    assert (tmp_path / "new" / "net.onnx").is_file()


def test_a_file_that_disagrees_is_not_written_and_the_last_one_stays(
    broken: TrainedRun, images: Tensor, tmp_path: Path
) -> None:
    for name in ("model.onnx", "parity.json"):
        (tmp_path / name).write_text("of the last export")

    with pytest.raises(ExportError, match=r"disagrees with the trained network:\n  batch of 1: "):
        export_run(broken, images, tmp_path / "model.onnx", split="val")

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("model.onnx", "parity.json"), "of the last export"
    )


def test_weights_that_do_not_fit_into_one_file_are_refused() -> None:
    class Large(nn.Module):
        def __init__(self, count: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(count, device="meta"))

    limit = 2**29  # float32 values in 2 GiB

    require_size(Large(limit - 1))  # type: ignore[arg-type]
    with pytest.raises(ExportError) as caught:
        require_size(Large(limit))  # type: ignore[arg-type]

    assert str(caught.value) == (
        "The network has 2.00 GiB of weights. Expected less than 2 GiB, the most that one ONNX "
        "file can hold. Choose smaller extractors or a smaller model.feature_ratio."
    )


def test_room_is_made_with_all_folders_above(tmp_path: Path) -> None:
    make_room(tmp_path / "a" / "b" / "model.onnx")

    assert (tmp_path / "a" / "b").is_dir()
    assert not (tmp_path / "a" / "b" / "model.onnx").exists()


def test_a_folder_of_the_file_s_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        make_room(tmp_path)

    assert str(caught.value) == (
        f"{tmp_path} is a folder. Expected the name of the file to write. Pass for instance --out "
        f"{tmp_path}/model.onnx."
    )


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(RunFolderError, match=r"Cannot write .*/file/model.onnx: File exists"):
        make_room(tmp_path / "file" / "model.onnx")
