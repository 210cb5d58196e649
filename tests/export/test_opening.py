"""Wrong files: each is refused by what is wrong with it, before anything loads it."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from fdmo_core.errors import ExportError
from fdmo_export.contract import (
    DIGEST_KEY,
    GENERATOR_KEY,
    GOLDEN_KEY,
    METADATA_ENTRIES,
    METADATA_FORMAT,
    METADATA_KEY,
)
from fdmo_export.opening import Description, describe_content, describe_file, read_file
from fdmo_export.wire import metadata_places

Edit = Callable[[Callable[[onnx.ModelProto], None]], Path]

OURS = "Expected a file that 'fdmo export onnx' wrote."


def refusal(path: Path) -> str:
    with pytest.raises(ExportError) as caught:
        describe_file(path)
    return str(caught.value)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    return path


def metadata(change: Callable[[str], str], key: str = METADATA_KEY) -> Callable[..., None]:
    """Return an edit of one entry of the file's metadata."""

    def edit(model: onnx.ModelProto) -> None:
        (entry,) = (one for one in model.metadata_props if one.key == key)
        entry.value = change(entry.value)

    return edit


def test_a_good_file_says_what_it_is(onnx_file: Path) -> None:
    found = describe_file(onnx_file)

    assert isinstance(found, Description)
    assert found.metadata.keys() == {"format", "fdmo", *METADATA_ENTRIES}
    assert len(found.golden_examples()) == 8
    assert found == describe_content(onnx_file.read_bytes(), "bytes")


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    assert refusal(tmp_path / "net.onnx") == (
        f"{tmp_path}/net.onnx is not there. Expected an ONNX file. Write one with 'fdmo export "
        f"onnx RUN'."
    )


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path) == (
        f"{tmp_path} is a folder. Expected an ONNX file. Pass the file in it, for instance "
        f"{tmp_path}/model.onnx, or write one with 'fdmo export onnx RUN'."
    )


def test_a_path_through_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert refusal(tmp_path / "file" / "net.onnx") == (
        f"{tmp_path}/file/net.onnx cannot be read: Not a directory. Expected an ONNX file that may "
        f"be read. Check its permissions."
    )


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, b"")

    assert refusal(path) == f"{path} is empty. {OURS} Fetch the file again."


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"{}", b"version https://git-lfs"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)

    assert refusal(path) == (
        f"{path} is not an ONNX file. {OURS} Check the path; a run folder is exported with 'fdmo "
        f"export onnx RUN'."
    )


@pytest.mark.parametrize("share", [0.001, 0.1, 0.3, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, onnx_file: Path, share: float) -> None:
    content = onnx_file.read_bytes()
    content = content[: int(share * len(content))]
    path = written(tmp_path, content)

    message = refusal(path)

    assert message.startswith(f"{path} is cut short or damaged: byte ")
    assert message.endswith(f", of {len(content)}. {OURS} Fetch the file again.")


def test_a_file_that_is_cut_within_its_last_entry_is_refused(
    tmp_path: Path, onnx_file: Path
) -> None:
    assert "is cut short" in refusal(written(tmp_path, onnx_file.read_bytes()[:-1]))


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:])
    path = written(tmp_path, helper.make_model(graph).SerializeToString())

    assert refusal(path) == (
        f"{path} is an ONNX file, but not of fdmo: its metadata have no entry 'fdmo'. {OURS} Run "
        f"it with onnxruntime itself, or pass another file."
    )


@pytest.mark.parametrize("part", [0.0005, 0.2, 0.5, 0.8])
def test_a_file_with_one_changed_bit_is_refused(
    tmp_path: Path, onnx_file: Path, part: float
) -> None:
    content = bytearray(onnx_file.read_bytes())
    places = metadata_places(bytes(content))
    content[int(part * places[METADATA_KEY].start)] ^= 1
    path = written(tmp_path, bytes(content))

    assert refusal(path) == (
        f"{path} was changed or damaged after its export: its digest is not that of its content. "
        f"Expected the file as 'fdmo export onnx' wrote it. Fetch the file again, or export the "
        f"run again."
    )


def test_a_changed_class_name_is_noticed(tmp_path: Path, onnx_file: Path) -> None:
    content = onnx_file.read_bytes()
    changed = content.replace(b"striped tee", b"stripes tee", 1)
    assert changed != content

    assert "its digest is not that of its content" in refusal(written(tmp_path, changed))


@pytest.mark.parametrize(
    ("content", "shown"),
    [("{no", "'{no'"), ("null", "'null'"), ("[2]", "'[2]'"), ("", "''"), ("[" * 9000, None)],
)
def test_metadata_that_are_no_object_are_refused(
    edited: Edit, content: str, shown: str | None
) -> None:
    path = edited(metadata(lambda _: content))

    shown = shown or repr("[" * 40)
    assert refusal(path) == (
        f"{path} has metadata that are no JSON object: {shown}. {OURS} Export the run again."
    )


@pytest.mark.parametrize("found", [1, 3, None, "2"])
def test_a_file_of_another_format_is_to_be_exported_again(edited: Edit, found: object) -> None:
    path = edited(metadata(lambda _: json.dumps({"format": found, "fdmo": "0.0.9"})))

    assert refusal(path) == (
        f"{path} is of format {found!r}, written by fdmo 0.0.9. Expected format {METADATA_FORMAT}, "
        f"which this version of fdmo writes and reads. Export the run again with this version, or "
        f"install the one that wrote the file."
    )


def test_a_file_of_the_first_format_had_no_digest_and_is_told_its_format(
    tmp_path: Path, onnx_file: Path
) -> None:
    model = onnx.load(onnx_file)
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, '{"format": 1, "fdmo": "0.1.0"}'

    assert "is of format 1, written by fdmo 0.1.0. Expected format 2" in refusal(
        written(tmp_path, model.SerializeToString())
    )


@pytest.mark.parametrize("entry", METADATA_ENTRIES)
def test_a_file_that_lacks_an_entry_is_refused(edited: Edit, entry: str) -> None:
    def lose(text: str) -> str:
        return json.dumps({key: value for key, value in json.loads(text).items() if key != entry})

    path = edited(metadata(lose))

    assert refusal(path) == (
        f"{path} lacks {entry} in its metadata. Expected all that 'fdmo export onnx' writes. "
        f"Export the run again."
    )


def test_a_file_without_golden_examples_is_refused(edited: Edit) -> None:
    def lose(model: onnx.ModelProto) -> None:
        kept = [one for one in model.metadata_props if one.key != GOLDEN_KEY]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)

    assert f"lacks {GOLDEN_KEY} in its metadata" in refusal(edited(lose))


def test_a_file_without_digest_is_refused(tmp_path: Path, onnx_file: Path) -> None:
    model = onnx.load(onnx_file)
    kept = [one for one in model.metadata_props if one.key != DIGEST_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)

    assert "changed or damaged" in refusal(written(tmp_path, model.SerializeToString()))


def test_bytes_are_named_as_the_caller_says(onnx_file: Path) -> None:
    with pytest.raises(ExportError, match=r"^The model is empty\. "):
        describe_content(b"", "The model")
    assert read_file(onnx_file)[:1] == b"\x08"


def test_a_generator_is_told_from_a_classifier(onnx_file: Path, tmp_path: Path) -> None:
    model = onnx.load(onnx_file)
    for one in model.metadata_props:
        if one.key == METADATA_KEY:
            one.key = GENERATOR_KEY
    onnx.save_model(model, tmp_path / "generator.onnx")

    with pytest.raises(ExportError, match=r"is a generator, .* Expected a classifier\."):
        describe_file(tmp_path / "generator.onnx")


@pytest.mark.parametrize("external", [{}, 5, False, {"file": 5}, {"file": "", "sha256": ""}])
def test_a_file_that_does_not_say_where_its_weights_are_is_refused(
    edited: Edit, external: object
) -> None:
    path = edited(metadata(lambda old: json.dumps(json.loads(old) | {"external_data": external})))

    assert refusal(path).startswith(f"{path} has metadata that do not say where its weights are: ")
