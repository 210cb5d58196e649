"""Weights in a file of their own, where one file cannot hold them."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from torch import Tensor

from fdmo_core.errors import ExportError, RunFolderError
from fdmo_export.contract import DIGEST_KEY, GOLDEN_KEY, METADATA_KEY
from fdmo_export.opening import describe_file
from fdmo_export.runtime import OnnxClassifier
from fdmo_export.weights import (
    ALIGNMENT,
    MAX_WEIGHT_BYTES,
    SMALLEST,
    replacing_with_weights,
    weight_bytes,
    weights_path,
)
from fdmo_export.write import write_model

Divide = Callable[..., dict[str, object]]


@pytest.fixture
def divide(onnx_file: Path) -> Divide:
    """A function that writes the exported model again, its weights beside it."""

    def write(path: Path, max_weight_bytes: int = 0) -> dict[str, object]:
        description = describe_file(onnx_file)
        model = onnx.load(onnx_file)
        del model.metadata_props[:]
        write_model(
            model,
            description.metadata,
            description.golden_examples(),
            path,
            max_weight_bytes=max_weight_bytes,
        )
        return description.metadata

    return write


def test_a_divided_file_answers_as_a_whole_one(
    divide: Divide, onnx_file: Path, images: Tensor, tmp_path: Path
) -> None:
    divide(tmp_path / "net.onnx")

    pixels = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
    found, expected = (
        OnnxClassifier(path).run(pixels) for path in (tmp_path / "net.onnx", onnx_file)
    )
    for name, value in expected.items():
        assert np.array_equal(found[name], value)
    onnx.checker.check_model(tmp_path / "net.onnx", full_check=True)


def test_large_tensors_begin_on_pages_and_small_ones_stay(divide: Divide, tmp_path: Path) -> None:
    divide(tmp_path / "net.onnx")

    model = onnx.load(tmp_path / "net.onnx", load_external_data=False)
    moved = [one for one in model.graph.initializer if one.external_data]
    kept = [one for one in model.graph.initializer if not one.external_data]
    assert moved
    assert kept
    places = [{entry.key: entry.value for entry in one.external_data} for one in moved]
    assert {one["location"] for one in places} == {"net.onnx.data"}
    assert all(int(one["offset"]) % ALIGNMENT == 0 for one in places)
    assert all(int(one["length"]) >= SMALLEST for one in places)
    assert all(len(one.raw_data) < SMALLEST for one in kept)


def test_the_metadata_hold_the_digest_of_the_weights(divide: Divide, tmp_path: Path) -> None:
    metadata = divide(tmp_path / "net.onnx")

    content = (tmp_path / "net.onnx.data").read_bytes()
    expected = {
        "file": "net.onnx.data",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert metadata["external_data"] == expected
    assert describe_file(tmp_path / "net.onnx").metadata["external_data"] == expected


def test_weights_that_fit_stay_in_the_file(divide: Divide, onnx_file: Path, tmp_path: Path) -> None:
    needed = weight_bytes(onnx.load(onnx_file))

    assert "external_data" not in divide(tmp_path / "one.onnx", needed)
    assert "external_data" in divide(tmp_path / "two.onnx", needed - 1)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "one.onnx",
        "two.onnx",
        "two.onnx.data",
    ]
    keys = {one.key for one in onnx.load(tmp_path / "one.onnx").metadata_props}
    assert keys == {METADATA_KEY, GOLDEN_KEY, DIGEST_KEY}


def test_the_limit_leaves_room_below_2_gib() -> None:
    assert 0.95 * 2**31 < MAX_WEIGHT_BYTES < 2**31


def test_a_file_without_its_weights_is_refused(divide: Divide, tmp_path: Path) -> None:
    divide(tmp_path / "net.onnx")
    (tmp_path / "net.onnx.data").unlink()

    with pytest.raises(ExportError) as caught:
        OnnxClassifier(tmp_path / "net.onnx")

    assert str(caught.value) == (
        f"{tmp_path}/net.onnx.data is not there. Expected the weights of net.onnx beside it, for "
        f"they do not fit into one ONNX file. Keep both files in one folder."
    )


@pytest.mark.parametrize(
    "change", [lambda b: b[:-1], lambda b: b"\x01" + b[1:], lambda b: b + b"."]
)
def test_other_weights_are_refused(
    divide: Divide, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    divide(tmp_path / "net.onnx")
    weights = tmp_path / "net.onnx.data"
    weights.write_bytes(change(weights.read_bytes()))

    with pytest.raises(ExportError) as caught:
        OnnxClassifier(tmp_path / "net.onnx")

    assert str(caught.value) == (
        f"{weights} does not belong to net.onnx, or was damaged: its digest is another one. "
        f"Expected the file that was written together with it. Fetch both files again."
    )


def test_both_files_can_move_together(divide: Divide, tmp_path: Path, images: Tensor) -> None:
    (tmp_path / "here").mkdir()
    divide(tmp_path / "here" / "net.onnx")
    shutil.move(tmp_path / "here", tmp_path / "there")

    found = OnnxClassifier(tmp_path / "there" / "net.onnx").run(
        np.ascontiguousarray(images[:1].permute(0, 2, 3, 1).numpy())
    )

    assert found["probabilities"].shape == (1, 12)


def write_pair(path: Path, *names: str) -> None:
    with replacing_with_weights(path) as temporary:
        assert temporary.name == path.name
        for name in names:
            temporary.with_name(name).write_text("new")


def test_file_and_weights_appear_together(tmp_path: Path) -> None:
    write_pair(tmp_path / "net.onnx", "net.onnx", "net.onnx.data")

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "net.onnx": "new",
        "net.onnx.data": "new",
    }


def test_weights_of_the_replaced_file_go_with_it(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_text("old")
    weights_path(tmp_path / "net.onnx").write_text("old")

    write_pair(tmp_path / "net.onnx", "net.onnx")

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"net.onnx": "new"}


def test_a_failure_leaves_everything_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_text("old")

    def fail() -> None:
        with replacing_with_weights(tmp_path / "net.onnx") as temporary:
            temporary.write_text("new")
            raise ExportError("It disagrees.")

    with pytest.raises(ExportError):
        fail()

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"net.onnx": "old"}


def test_two_exports_of_one_file_do_not_share_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with replacing_with_weights(path) as first:
        first.write_text("first")
        with replacing_with_weights(path) as second:  # as in another container: the same process id
            second.write_text("second")
        assert path.read_text() == "second"

    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"net.onnx": "first"}


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(RunFolderError, match=r"^Cannot write .*/file/net\.onnx: Not a directory\. "),
        replacing_with_weights(tmp_path / "file" / "net.onnx"),
    ):
        pass
