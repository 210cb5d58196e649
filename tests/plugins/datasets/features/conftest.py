"""Files of features, and a function that opens them as a data set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fdmo_core import Splits
from fdmo_plugins.datasets.features.dataset import FeaturesConfig, FeaturesDataset

NUM_ROWS, LENGTH = 40, 5


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    """Features of 40 rows. Shape ``(40, 5)``."""
    return np.random.default_rng(0).normal(size=(NUM_ROWS, LENGTH)).astype(np.float32)


@pytest.fixture
def names() -> NDArray[np.str_]:
    """Names of three classes: 25, 10 and 5 rows of them, mixed."""
    rng = np.random.default_rng(1)
    return rng.permutation(np.repeat(["oak", "ash", "elm"], [25, 10, 5]))


@pytest.fixture
def npz(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes arrays as .npz."""

    def write(**arrays: Any) -> Path:
        np.savez(tmp_path / "features.npz", **arrays)
        return tmp_path / "features.npz"

    return write


@pytest.fixture
def load() -> Callable[..., Splits]:
    """A function that opens a file with options."""

    def open_file(file: Path, seed: int = 0, **options: Any) -> Splits:
        config = FeaturesConfig.model_validate({"file": str(file), **options})
        return FeaturesDataset(config, seed=seed).load()

    return open_file
