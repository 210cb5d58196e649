"""The digest of a file, over all of its bytes but its own."""

import hashlib

import onnx
import pytest
from onnx import TensorProto, helper

from fdmo_core.errors import ExportError
from fdmo_export.contract import DIGEST_KEY
from fdmo_export.seal import UNSEALED, require_seal, sealed_bytes
from fdmo_export.wire import metadata_places

CHANGED = (
    "net.onnx was changed or damaged after its export: its digest is not that of its content. "
    "Expected the file as 'fdmo export onnx' wrote it. Fetch the file again, or export the run "
    "again."
)


def model() -> onnx.ModelProto:
    """Return a small model that mentions the digest's key in other places."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    node = helper.make_node("Identity", ["x"], ["y"], name=DIGEST_KEY)
    graph = helper.make_graph([node], "net", ends[:1], ends[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(made, {"a": DIGEST_KEY + UNSEALED, DIGEST_KEY + "2": UNSEALED})
    made.functions.add().name = DIGEST_KEY + UNSEALED  # comes after the metadata in the file
    return made


@pytest.fixture(scope="module")
def content() -> bytes:
    return sealed_bytes(model())


def test_the_digest_is_that_of_the_file_with_zeros_in_its_place(content: bytes) -> None:
    place = metadata_places(content)[DIGEST_KEY]
    digest = content[place].decode()

    zeroed = content[: place.start] + UNSEALED.encode() + content[place.stop :]
    assert digest == hashlib.sha256(zeroed).hexdigest()
    assert {one.key: one.value for one in onnx.ModelProto.FromString(content).metadata_props} == {
        "a": DIGEST_KEY + UNSEALED,
        DIGEST_KEY + "2": UNSEALED,
        DIGEST_KEY: digest,
    }
    require_seal(content, "net.onnx")


def test_no_byte_can_be_changed_unnoticed(content: bytes) -> None:
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0x20
        with pytest.raises(ExportError) as caught:
            require_seal(bytes(damaged), "net.onnx")
        assert str(caught.value) == CHANGED


def test_no_byte_can_be_taken_away_or_added_unnoticed(content: bytes) -> None:
    for length in range(len(content)):
        with pytest.raises(ExportError):
            require_seal(content[:length], "net.onnx")
    with pytest.raises(ExportError):
        require_seal(content + b"\x00", "net.onnx")


def test_a_file_that_was_never_sealed_is_refused() -> None:
    with pytest.raises(ExportError, match="changed or damaged"):
        require_seal(model().SerializeToString(), "net.onnx")
