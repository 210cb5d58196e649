from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file

from fdmo_core.errors import RunFolderError
from fdmo_core.feature_file import METADATA_KEY, FeatureFileFacts, make_file, open_file
from fdmo_core.samples import Sample, Splits

ORIGIN: dict[str, Any] = {"network": "abc", "image_size": 24}


class NamedSplit:
    """A split of which nothing but labels and sources is asked for."""

    def __init__(self, *labels: int, name: str = "s") -> None:
        self.labels: NDArray[np.int64] = np.array(labels, dtype=np.int64)
        self._name = name

    def __getitem__(self, index: int) -> Sample:
        raise NotImplementedError

    def source(self, index: int) -> str:
        return f"{self._name}/{index}" + "ü" * index


@pytest.fixture
def splits() -> Splits:
    train, val, test = NamedSplit(0, 1, 1), NamedSplit(name="v"), NamedSplit(1, 0, name="t")
    return Splits(("a", "b"), train, val, test, digest="d1ce")


def fill(path: Path, *rows: int) -> None:
    chosen = np.array(rows, dtype=np.int64)
    features = np.repeat(chosen[:, None] + 0.5, 3, axis=1).astype(np.float32)
    open_file(path).write(chosen, features)


def test_a_finished_file_holds_features_labels_splits_sources_and_facts(
    splits: Splits, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "f.safetensors"

    make_file(path, splits, (1, 2), ORIGIN)
    fill(path, 4, 0, 2)
    fill(path, 1, 3)
    open_file(path).finish()

    tensors = load_file(path)
    np.testing.assert_array_equal(tensors["features"], np.arange(5)[:, None] + [[0.5] * 3])
    assert tensors["features"].dtype == np.float32
    assert tensors["labels"].tolist() == [0, 1, 1, 1, 0]
    assert tensors["split"].tolist() == [0, 0, 0, 2, 2]
    sources = [row.tobytes().rstrip(b"\0").decode() for row in tensors["sources"]]
    assert sources == ["s/0", "s/1ü", "s/2üü", "t/0", "t/1ü"]
    with safe_open(path, framework="np") as file:
        facts = FeatureFileFacts.model_validate_json(file.metadata()[METADATA_KEY])
    assert facts == FeatureFileFacts(class_names=("a", "b"), stream_dims=(1, 2), origin=ORIGIN)
    assert [one.name for one in path.parent.iterdir()] == ["f.safetensors"]


def test_what_was_written_before_an_interruption_is_still_there(
    splits: Splits, tmp_path: Path
) -> None:
    path = tmp_path / "f.safetensors"
    make_file(path, splits, (3,), ORIGIN)
    fill(path, 1, 2)

    make_file(path, splits, (3,), ORIGIN)

    file = open_file(path)
    assert file.is_done.tolist() == [0, 1, 1, 0, 0]
    assert file.features[2].tolist() == [2.5, 2.5, 2.5]
    assert not path.exists()


def test_another_extraction_does_not_go_on(splits: Splits, tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    make_file(path, splits, (3,), ORIGIN)

    with pytest.raises(RunFolderError) as caught:
        make_file(path, splits, (3,), ORIGIN | {"image_size": 32})

    assert str(caught.value) == (
        f"{tmp_path}/.f.safetensors.part is of an extraction that was interrupted, and this one "
        f"differs in: image_size. Expected the same, to go on with. Remove the file, or choose "
        f"another one with --out."
    )


def test_no_file_is_overwritten(splits: Splits, tmp_path: Path) -> None:
    (tmp_path / "f.safetensors").write_bytes(b"precious")

    with pytest.raises(RunFolderError, match=r"is there already\. Expected a file that is not\."):
        make_file(tmp_path / "f.safetensors", splits, (3,), ORIGIN)

    assert (tmp_path / "f.safetensors").read_bytes() == b"precious"


def test_a_place_that_cannot_be_written_to_is_named(splits: Splits, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RunFolderError, match=r"^Cannot write .*file/f\.safetensors: "):
        make_file(tmp_path / "file" / "f.safetensors", splits, (3,), ORIGIN)
