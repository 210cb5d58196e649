from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from fdmo_core import DataError
from fdmo_core.feature_file import METADATA_KEY, FeatureFileFacts
from fdmo_plugins.datasets.features.stored import Keys, MappedArray
from fdmo_plugins.datasets.features.tensor_files import open_safetensors

Vectors = NDArray[np.float32]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.uint8])
def test_features_stay_in_their_file(tmp_path: Path, vectors: Vectors, dtype: torch.dtype) -> None:
    features = torch.from_numpy(vectors).mul(9).abs().to(dtype)
    save_file(
        {"a": torch.zeros(3), "X": features, "y": torch.zeros(40)}, tmp_path / "f.safetensors"
    )

    stored = open_safetensors(tmp_path / "f.safetensors", Keys())

    assert isinstance(stored.features, MappedArray)
    np.testing.assert_array_equal(stored.features[:], features.numpy())


def test_bfloat16_is_read_as_float32(tmp_path: Path, vectors: Vectors) -> None:
    features = torch.from_numpy(vectors).bfloat16()
    save_file({"X": features, "y": torch.zeros(40)}, tmp_path / "f.safetensors")

    stored = open_safetensors(tmp_path / "f.safetensors", Keys())

    np.testing.assert_array_equal(stored.features[:], features.float().numpy())


def test_facts_of_the_header_are_taken_up(tmp_path: Path, vectors: Vectors) -> None:
    facts = FeatureFileFacts(class_names=("a", "b"), stream_dims=(2, 3))
    tensors = {"X": torch.from_numpy(vectors), "y": torch.zeros(40, dtype=torch.int64)}
    save_file(tensors, tmp_path / "f.safetensors", {METADATA_KEY: facts.model_dump_json()})

    stored = open_safetensors(tmp_path / "f.safetensors", Keys())

    assert (stored.class_names, stored.stream_dims) == (("a", "b"), (2, 3))


@pytest.mark.parametrize("header", ['{"classes": 3}', '{"format": 2}', "no JSON"])
def test_another_header_of_that_name_is_refused(
    tmp_path: Path, vectors: Vectors, header: str
) -> None:
    tensors = {"X": torch.from_numpy(vectors), "y": torch.zeros(40)}
    save_file(tensors, tmp_path / "f.safetensors", {METADATA_KEY: header})

    with pytest.raises(DataError, match=r"(?s)The header of .* is not what fdmo writes: .*extract"):
        open_safetensors(tmp_path / "f.safetensors", Keys())


def test_missing_tensors_and_damaged_files_are_refused(tmp_path: Path, vectors: Vectors) -> None:
    file = tmp_path / "f.safetensors"
    save_file({"X": torch.from_numpy(vectors)}, file)

    with pytest.raises(DataError, match=r"has no 'labels' or 'y' or 'label'\. It has: X\."):
        open_safetensors(file, Keys())
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"cannot be read: .* Expected a \.safetensors file\."):
        open_safetensors(file, Keys(labels=()))
