"""What tests share: the installed components, and a run that trains in a second or two."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fdmo_core.config import Run, resolve_run
from fdmo_core.data import open_data
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry
from fdmo_core.samples import Sample, Split, Splits

TINY: dict[str, dict[str, Any]] = {
    "data": {
        "name": "garments",
        "largest_class": 12,
        "imbalance_ratio": 4,
        "val_per_class": 2,
        "test_per_class": 2,
        "image_size": 24,
    },
    "texture_stream": {"name": "small-vgg", "channels": [4, 8]},
    "shape_stream": {"name": "small-vgg", "channels": [4, 8]},
    "phase1": {"shape_epochs": 1, "epochs": 1, "batch_size": 32},
    "rebalancer": {
        "name": "adversarial",
        "epochs": 1,
        "batch_size": 32,
        "samples_per_class": 5,
    },
    "generator": {
        "name": "convexgan",
        "noise_dim": 8,
        "hidden": [16, 16],
        "discriminator_hidden": [16, 16],
    },
    "metrics": {"bootstrap_samples": 100},
}


@dataclass(frozen=True)
class KeptSplit:
    """A split that was read once."""

    samples: tuple[Sample, ...]
    sources: tuple[str, ...]

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.array([sample.label for sample in self.samples], dtype=np.int64)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def source(self, index: int) -> str:
        return self.sources[index]


def kept(split: Split) -> KeptSplit:
    rows = range(len(split.labels))
    return KeptSplit(tuple(split[row] for row in rows), tuple(split.source(row) for row in rows))


@pytest.fixture(scope="session")
def registry() -> Registry:
    """All components that are installed."""
    return Registry(load_plugins())


@pytest.fixture(scope="session")
def tiny_run(registry: Registry) -> Callable[..., Run]:
    """A function that returns the tiny run, with the options that its sections are given."""

    def make(seed: int = 0, **sections: dict[str, Any]) -> Run:
        content = {name: TINY.get(name, {}) | part for name, part in sections.items()}
        return resolve_run({"seed": seed} | TINY | content, registry)

    return make


@pytest.fixture(scope="session")
def tiny_splits(tiny_run: Callable[..., Run]) -> Splits:
    """The data of the tiny run: 12 classes of 12 to 3 images, drawn once for all tests."""
    splits = open_data(tiny_run())
    drawn = {name: kept(split) for name, split in splits.named().items()}
    return replace(splits, train=drawn["train"], val=drawn["val"], test=drawn["test"])
