"""A run folder and its exported file, seen in the same way."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fdmo_cli.targets import Target, open_onnx, open_run
from fdmo_core.errors import ExportError, RunFolderError
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry


@pytest.fixture(scope="module")
def from_run(run_folder: Path) -> Target:
    return open_run(run_folder, Registry(load_plugins()), torch.device("cpu"))


@pytest.fixture(scope="module")
def from_file(onnx_file: Path) -> Target:
    return open_onnx(onnx_file)


def test_both_say_the_same_of_the_training_run(from_run: Target, from_file: Target) -> None:
    assert from_file.class_names == from_run.class_names
    assert from_file.image_size == from_run.image_size == 24
    assert from_file.data_digest == from_run.data_digest
    assert from_file.config == from_run.config
    np.testing.assert_array_equal(from_file.class_counts, from_run.class_counts)
    assert from_file.class_counts.dtype == from_run.class_counts.dtype == np.int64


def test_both_give_the_same_logits(from_run: Target, from_file: Target) -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (5, 3, 24, 24), generator=rng, dtype=torch.uint8)

    found, expected = from_file.predict(images), from_run.predict(images)

    assert found.shape == (5, 12)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not a finished run"):
        open_run(tmp_path, Registry(load_plugins()), torch.device("cpu"))

    with pytest.raises(ExportError, match=r"is not there\. Expected an ONNX file"):
        open_onnx(tmp_path / "model.onnx")
