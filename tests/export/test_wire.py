"""The outermost layer of an ONNX file, read by hand, against onnx."""

import onnx
import pytest
from onnx import TensorProto, helper

from fdmo_export.wire import looks_like_onnx, metadata_places

KEY = "note"


def model_with(entries: dict[str, str]) -> onnx.ModelProto:
    """Return a small model with metadata, whose graph holds the texts of the keys too."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    node = helper.make_node("Identity", ["x"], ["y"], name="note fdmo_sha256")
    graph = helper.make_graph([node], KEY, ends[:1], ends[1:], doc_string="note" * 50)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, entries)
    return model


@pytest.mark.parametrize("length", [0, 1, 127, 128, 300, 20_000])
def test_values_lie_where_they_are_found(length: int) -> None:
    entries = {"first": "é", KEY: "v" * length, "last": "note"}
    content = model_with(entries).SerializeToString()

    places = metadata_places(content)

    assert {key: content[place].decode() for key, place in places.items()} == entries


def test_a_model_without_metadata_has_none() -> None:
    assert metadata_places(model_with({}).SerializeToString()) == {}


def test_an_entry_that_is_there_twice_is_the_last_one_as_for_protobuf() -> None:
    model = model_with({KEY: "old"})
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, "new"
    content = model.SerializeToString()

    assert content[metadata_places(content)[KEY]] == b"new"


def can_be_read(content: bytes) -> bool:
    try:
        metadata_places(content)
    except ValueError:
        return False
    return True


def test_a_file_that_ends_within_a_field_is_an_error_and_one_that_ends_between_is_not() -> None:
    content = model_with({KEY: "value"}).SerializeToString()
    whole = [length for length in range(1, len(content)) if can_be_read(content[:length])]

    assert len(whole) < 6  # after ir_version, graph, opset and the like
    assert all(not metadata_places(content[:length]) for length in whole)


@pytest.mark.parametrize(
    ("content", "verdict"),
    [(b"", False), (b"\x89PNG\r\n", False), (b"hello", False), (b"\x08\x0a", True)],
)
def test_onnx_files_begin_with_their_version(content: bytes, verdict: bool) -> None:
    assert looks_like_onnx(content) is verdict


def test_a_type_of_field_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="byte 1 begins no field"):
        metadata_places(b"\x0f\x01")


def test_a_number_without_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="byte 1 begins no whole number"):
        metadata_places(b"\x08" + b"\xff" * 20)
