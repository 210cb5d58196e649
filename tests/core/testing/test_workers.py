import sys
from importlib import import_module
from pathlib import Path

import pytest

from fdmo_core.testing.workers import check_is_read_by_a_spawned_worker

CORRECT = """
from dataclasses import dataclass, replace

from fdmo_core import Splits
from fdmo_plugins.datasets.garments.dataset import GarmentsDataset

LEARNED = {}


@dataclass
class Read:
    split: object

    @property
    def labels(self):
        return self.split.labels

    def source(self, index):
        return self.split.source(index)

    def __getitem__(self, index):
        return self.split[index]


class Mine(GarmentsDataset):
    def load(self):
        splits = super().load()
        LEARNED["box"] = (0, 0, 5, 5)
        return replace(splits, train=Read(splits.train))
"""


def checked(tmp_path: Path, name: str, sample: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check a data set in a module of its own, whose samples are read by an expression."""
    source = CORRECT.replace("return self.split[index]", f"return {sample}")
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        dataset = import_module(name).Mine
        config = dataset.config_class(
            largest_class=4, imbalance_ratio=2.0, val_per_class=1, test_per_class=1
        )
        check_is_read_by_a_spawned_worker(dataset, config)
    finally:
        del sys.modules[name]


def test_a_split_that_holds_what_it_needs_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked(tmp_path, "holding_dataset", "self.split[index]", monkeypatch)


def test_a_split_that_needs_what_its_module_learned_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = 'replace(self.split[index], box=LEARNED["box"])'

    with pytest.raises(AssertionError, match=r"a split raises KeyError: 'box'.* See fdmo_core"):
        checked(tmp_path, "learning_dataset", sample, monkeypatch)


def test_a_split_that_reads_otherwise_elsewhere_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = 'replace(self.split[index], box=LEARNED.get("box"))'

    with pytest.raises(AssertionError, match=r"Samples \[0, .* of train are others.* See fdmo_c"):
        checked(tmp_path, "differing_dataset", sample, monkeypatch)
