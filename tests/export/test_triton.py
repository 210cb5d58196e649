"""A model repository that Triton's onnxruntime backend takes; its rules are written out here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)
from onnx import helper, numpy_helper

from fdmo_core.errors import ConfigError, ExportError, RunFolderError
from fdmo_core.run_folder import TrainedRun
from fdmo_core.samples import Splits
from fdmo_export.contract import METADATA_KEY
from fdmo_export.runtime import OnnxClassifier
from fdmo_export.triton import TritonOptions, safe_name, write_repository
from fdmo_export.write import export_run

# The part of Triton's model_config.proto that is written, with its names and types: of a message
# its fields, of a field its type, "*" where it is repeated.
MESSAGES = {
    "Dynamic": {},
    "Group": {"count": "int32", "kind": "Kind"},
    "Input": {"name": "string", "data_type": "Type", "dims": "int64*", "optional": "bool"},
    "Output": {"name": "string", "data_type": "Type", "dims": "int64*", "label_filename": "string"},
    "ModelConfig": {
        "name": "string",
        "backend": "string",
        "max_batch_size": "int32",
        "dynamic_batching": "Dynamic",
        "input": "Input*",
        "output": "Output*",
        "instance_group": "Group*",
    },
}
ENUMS = {
    "Kind": ("KIND_AUTO", "KIND_GPU", "KIND_CPU"),
    "Type": ("TYPE_INVALID", "TYPE_UINT8", "TYPE_FP32"),
}
TYPES = {"TYPE_UINT8": "tensor(uint8)", "TYPE_FP32": "tensor(float)"}


def config_class() -> Any:
    """Return the message class of a configuration."""
    file = descriptor_pb2.FileDescriptorProto(name="config", package="t", syntax="proto3")
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            added = message.field.add(name=field, number=number, label=3 if "*" in kind else 1)
            kind = kind.rstrip("*")
            if kind in ENUMS or kind in MESSAGES:
                added.type, added.type_name = (14 if kind in ENUMS else 11), f".t.{kind}"
            else:
                added.type = {"string": 9, "int32": 5, "int64": 3, "bool": 8}[kind]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.ModelConfig"))


def read_config(folder: Path) -> Any:
    """Return the configuration of a model's folder; a field that is unknown is an error."""
    return text_format.Parse((folder / "config.pbtxt").read_text(), config_class()())


def require_loadable(folder: Path) -> None:
    """Check what the backend checks when it loads a model, and that names are as they must be."""
    config = read_config(folder)
    session = onnxruntime.InferenceSession(
        folder / "1" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    required = {one.name: one for one in session.get_inputs()}
    dials = {one.name: one for one in session.get_overridable_initializers()}
    batch = [-1] if config.max_batch_size else []
    assert config.name == folder.name
    assert config.backend == "onnxruntime"
    assert {one.name for one in config.input if not one.optional} == set(required)
    assert not (config.max_batch_size and any(one.optional for one in config.input))
    for one in config.input:
        require_same(one, (dials if one.optional else required)[one.name], batch)
    outputs = {one.name: one for one in session.get_outputs()}
    assert [one.name for one in config.output] == list(outputs)
    for one in config.output:
        require_same(one, outputs[one.name], batch)
        assert not one.label_filename or (folder / one.label_filename).is_file()


def require_same(tensor: Any, declared: Any, batch: list[int]) -> None:
    """Check type and dims; a scalar is one number of the server's."""
    assert TYPES[ENUMS["Type"][tensor.data_type]] == declared.type
    lengths = [one if isinstance(one, int) else -1 for one in declared.shape]
    assert batch + list(tensor.dims) == (lengths or [1])


def test_the_server_s_checks_pass_and_it_joins_requests(onnx_file: Path, tmp_path: Path) -> None:
    folder = write_repository(onnx_file, tmp_path / "repository", name="net")

    require_loadable(folder)
    config = read_config(folder)
    assert folder == tmp_path / "repository" / "net"
    assert config.max_batch_size == 32
    assert config.HasField("dynamic_batching")
    assert [(one.name, list(one.dims)) for one in config.input] == [("image", [-1, -1, 3])]
    assert [(one.count, ENUMS["Kind"][one.kind]) for one in config.instance_group] == [
        (1, "KIND_AUTO")
    ]
    assert (folder / "1" / "model.onnx").read_bytes() == onnx_file.read_bytes()


def test_without_batches_a_request_may_give_the_optional_inputs(
    onnx_file: Path, tmp_path: Path
) -> None:
    options = TritonOptions(max_batch_size=0, kind="gpu", instances=2)

    folder = write_repository(onnx_file, tmp_path, name="net", options=options)

    require_loadable(folder)
    config = read_config(folder)
    num_classes = len(OnnxClassifier(onnx_file).class_names)
    assert not config.HasField("dynamic_batching")
    assert [(one.name, list(one.dims), one.optional) for one in config.input] == [
        ("image", [-1, -1, -1, 3], False),
        ("target_prior", [num_classes], True),
        ("tau", [1], True),
        ("box", [-1, 4], True),
    ]
    assert [(one.count, ENUMS["Kind"][one.kind]) for one in config.instance_group] == [
        (2, "KIND_GPU")
    ]


def test_one_image_at_a_time_is_not_joined(onnx_file: Path, tmp_path: Path) -> None:
    folder = write_repository(
        onnx_file, tmp_path, name="net", options=TritonOptions(max_batch_size=1, kind="cpu")
    )

    require_loadable(folder)
    assert not read_config(folder).HasField("dynamic_batching")


def test_labels_are_the_classes_in_order_and_belong_to_the_probabilities(
    onnx_file: Path, tmp_path: Path
) -> None:
    folder = write_repository(onnx_file, tmp_path, name="net")

    labels = (folder / "labels.txt").read_text(encoding="utf-8")
    assert tuple(labels.splitlines()) == OnnxClassifier(onnx_file).class_names
    assert {one.name for one in read_config(folder).output if one.label_filename} == {
        "probabilities"
    }


def test_weights_beside_the_file_come_with_it(
    trained: TrainedRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    path = tmp_path / "large.onnx"
    export_run(trained, tiny_splits, path, max_weight_bytes=1000)

    folder = write_repository(path, tmp_path / "repository", name="net")

    require_loadable(folder)
    assert sorted(one.name for one in (folder / "1").iterdir()) == ["large.onnx.data", "model.onnx"]


def test_a_class_of_two_lines_is_refused(
    edited: Callable[[Callable[[onnx.ModelProto], None]], Path], tmp_path: Path
) -> None:
    def rename(model: onnx.ModelProto) -> None:
        entry = next(one for one in model.metadata_props if one.key == METADATA_KEY)
        metadata = json.loads(entry.value)
        metadata["class_names"][1] = "shirt\nlong"
        entry.value = json.dumps(metadata)

    with pytest.raises(ExportError) as caught:
        write_repository(edited(rename), tmp_path / "repository", name="net")

    assert str(caught.value) == (
        "The class 'shirt\\nlong' has a name of several lines. Expected names of one line, for "
        "Triton reads a class from each line of labels.txt. Rename the class in the data and train "
        "again."
    )
    assert not (tmp_path / "repository").exists()


def test_outputs_that_are_not_as_the_file_declares_are_refused(
    edited: Callable[[Callable[[onnx.ModelProto], None]], Path], tmp_path: Path
) -> None:
    def halve_features(model: onnx.ModelProto) -> None:
        """Drop every second feature, in a way that onnxruntime cannot see before it runs."""
        graph = model.graph
        declared = next(one for one in graph.output if one.name == "features")
        length = declared.type.tensor_type.shape.dim[1].dim_value
        for node in graph.node:
            for names in (node.input, node.output):
                names[:] = ["whole" if one == "features" else one for one in names]
        graph.initializer.append(numpy_helper.from_array(np.arange(length) % 2 == 0, "kept"))
        graph.node.append(helper.make_node("Compress", ["whole", "kept"], ["features"], axis=1))

    with pytest.raises(ExportError, match=r"^The output 'features' has shape \(2, \d+\) and t"):
        write_repository(edited(halve_features), tmp_path / "repository", name="net")

    assert not (tmp_path / "repository").exists()


def test_a_model_that_is_there_is_left_alone(onnx_file: Path, tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()

    with pytest.raises(ExportError) as caught:
        write_repository(onnx_file, tmp_path, name="net")

    assert str(caught.value) == (
        f"{tmp_path}/net exists already. Expected a name that the repository has not. Choose "
        f"another one with --name, or remove the folder."
    )
    assert not list((tmp_path / "net").iterdir())


def test_a_repository_that_cannot_be_written_leaves_nothing(
    onnx_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(RunFolderError, match=r"^Cannot write .*/file/net: "):
        write_repository(onnx_file, tmp_path / "file", name="net")

    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("text", "name"),
    [("run-1", "run-1"), ("my run (2)", "my-run-2"), ("Größe.v1", "Gr-e.v1"), ("..", "model")],
)
def test_what_cannot_be_in_a_name_becomes_a_dash(text: str, name: str) -> None:
    assert safe_name(text) == name
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        (
            "a b",
            "auto",
            "--name is 'a b'. Expected letters, digits, dots, dashes and underscores, with no dot "
            "or dash at either end. Pass for instance --name a-b.",
        ),
        (
            "net",
            "tpu",
            "--kind is 'tpu'. Expected one of: auto, cpu, gpu. Choose one of these.",
        ),
    ],
)
def test_a_name_or_kind_that_will_not_do_is_refused(
    name: str, kind: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        write_repository(
            tmp_path / "no.onnx", tmp_path, name=name, options=TritonOptions(kind=kind)
        )

    assert str(caught.value) == message
