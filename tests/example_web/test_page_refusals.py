"""What the page refuses, and what it says then."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from PIL import Image

from fdmo_core.config import Run
from fdmo_core.model_building import initial_network
from fdmo_core.registry import Registry
from fdmo_core.run_folder import load_run, save_model
from fdmo_core.samples import Splits
from fdmo_export.contract import DIGEST_KEY, GOLDEN_KEY, METADATA_KEY
from fdmo_export.seal import sealed_bytes
from fdmo_export.write import export_run


def resealed(source: Path, target: Path, key: str, change: Callable[[Any], None]) -> None:
    """Write a file once more with an entry of its metadata changed, and a digest that fits."""
    model = onnx.load(source)
    entries = {one.key: one for one in model.metadata_props}
    document = json.loads(entries[key].value)
    change(document)
    entries[key].value = json.dumps(document)
    model.metadata_props.remove(entries[DIGEST_KEY])
    target.write_bytes(sealed_bytes(model))


def test_the_self_test_fails_where_the_network_answered_otherwise(
    page: Any, onnx_file: Path, tmp_path: Path
) -> None:
    def turn(golden: Any) -> None:
        golden[3]["outputs"]["probabilities"].reverse()

    resealed(onnx_file, tmp_path / "turned.onnx", GOLDEN_KEY, turn)
    page.choose("model", tmp_path / "turned.onnx")

    assert page.test_itself().startswith("Failed: 7 of 8 examples")
    assert page.call("evaluate", "document.querySelectorAll('#examples .bad').length") == 1
    page.call("goto", "about:blank")  # for the next test begins with the file beside the page


def test_a_changed_file_is_refused_and_the_open_one_stays(
    page: Any, onnx_file: Path, tmp_path: Path
) -> None:
    content = bytearray(onnx_file.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "changed.onnx").write_bytes(content)

    page.choose("model", tmp_path / "changed.onnx")

    assert "changed.onnx was changed or damaged after its export" in page.error
    assert page.text("#facts dd").startswith("model.onnx, ")


def test_other_files_are_refused(page: Any, onnx_file: Path, tmp_path: Path) -> None:
    model = onnx.load(onnx_file)
    del model.metadata_props[:]
    wrong = {
        "foreign": (model.SerializeToString(), "is an ONNX file, but fdmo did not write it"),
        "short": (onnx_file.read_bytes()[:-1000], "is no whole ONNX file: a field at byte"),
        "text": (b"Not a model.", "is no whole ONNX file"),
        "empty": (b"", "is no whole ONNX file: it holds no graph"),
    }
    for name, (content, message) in wrong.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)

        page.choose("model", tmp_path / f"{name}.onnx")

        assert f"{name}.onnx {message}" in page.error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 1}, "has metadata of format 1. Expected 2."),
        ({"preprocessing": {"in_graph": False}}, "takes images that were made square and small"),
        ({"external_data": {"file": "weights"}}, "keeps its weights in a second file"),
    ],
)
def test_a_file_of_another_form_says_what_it_takes(
    page: Any, onnx_file: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    resealed(onnx_file, tmp_path / "other.onnx", METADATA_KEY, lambda one: one.update(change))

    page.choose("model", tmp_path / "other.onnx")

    assert f"other.onnx {message}" in page.error


def test_a_file_for_features_says_what_it_takes(
    page: Any,
    tiny_run: Callable[..., Run],
    feature_splits: Splits,
    registry: Registry,
    tmp_path: Path,
) -> None:
    save_model(tmp_path, initial_network(tiny_run(), feature_splits), tiny_run(), feature_splits)
    export_run(load_run(tmp_path, registry), feature_splits, tmp_path / "features.onnx")

    page.choose("model", tmp_path / "features.onnx")

    assert "features.onnx takes features, 8 numbers for each picture" in page.error


def test_what_is_no_picture_is_refused_and_the_answer_stays(
    page: Any, png: Path, tmp_path: Path
) -> None:
    page.choose("picture", png)
    before = page.classes
    (tmp_path / "notes.png").write_text("Not a picture.")
    Image.new("1", (7100, 7100)).save(tmp_path / "large.png")

    page.choose("picture", tmp_path / "notes.png")
    assert "notes.png is no picture that this browser can read" in page.error

    page.choose("picture", tmp_path / "large.png")
    assert "large.png has 7100 x 7100 pixels. Expected at most 50 million" in page.error

    assert page.classes == before
    page.choose("picture", png)
    assert page.error == ""
