"""A feature dictionary that is held in memory as one tensor."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor

from fdmo_core import (
    ComponentConfig,
    DrawnFeatures,
    FeatureBatch,
    FeatureDictionary,
    LabelledFeatures,
)
from fdmo_core.errors import RunFolderError
from fdmo_core.files import write_json, write_tensors
from fdmo_core.json_files import read_json
from fdmo_core.reservoir import HeldRows, Reservoir

FEATURES_FILE = "features.safetensors"
MANIFEST_FILE = "manifest.json"
ROWS_A_PART = 4096


class MemoryDictionaryConfig(ComponentConfig):
    """Options of :class:`MemoryDictionary`."""

    name: Literal["memory"] = "memory"
    max_per_class: int = Field(
        default=2000, ge=1, description="Most features that a class keeps (the paper: 2000)."
    )


class MemoryDictionary(FeatureDictionary):
    """Real features of all classes, rows in order of class and then of source.

    Source: Eq. (2) and Sec. IV-B of the paper. The two dictionaries of the paper, one a stream,
    are the column blocks of one store, so a row is always one image's texture and shape feature.
    The paper does not say which 2000 features a large class keeps; here it is a seeded random
    sample.
    """

    config_class: ClassVar[type[ComponentConfig]] = MemoryDictionaryConfig
    config: MemoryDictionaryConfig

    def build(self, parts: Iterable[FeatureBatch]) -> None:
        """Fill the dictionary; see :meth:`FeatureDictionary.build`."""
        reservoir = Reservoir(
            num_classes=self.num_classes, max_per_class=self.config.max_per_class, seed=self.seed
        )
        for part in parts:
            reservoir.offer(*(column.cpu() for column in part))
        self._hold(reservoir.held())

    def _hold(self, rows: HeldRows) -> None:
        self._store = rows.features
        self._sources = rows.sources
        self._class_sizes = rows.labels.bincount(minlength=self.num_classes)
        self._offsets = self._class_sizes.cumsum(0) - self._class_sizes  # first row of each class

    @property
    def class_sizes(self) -> Tensor:
        """Rows per class; see :attr:`FeatureDictionary.class_sizes`."""
        return self._class_sizes

    @property
    def sources(self) -> Tensor:
        """Image behind each row; see :attr:`FeatureDictionary.sources`."""
        return self._sources

    @property
    def store(self) -> LabelledFeatures:
        """All rows; see :attr:`FeatureDictionary.store`."""
        labels = torch.arange(self.num_classes).repeat_interleave(self._class_sizes)
        return LabelledFeatures(self._store, labels.to(self._store.device))

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Return a real feature of each label; see :meth:`FeatureDictionary.sample`."""
        labels = labels.cpu()
        chance = torch.rand(len(labels), generator=rng, dtype=torch.float64)
        rows = self._offsets[labels] + (chance * self._class_sizes[labels]).long()
        return self._store[rows.to(self._store.device)]

    def draw(
        self, labels: Tensor, *, samples_per_class: int, rng: torch.Generator
    ) -> DrawnFeatures:
        """Return one set of rows a class; see :meth:`FeatureDictionary.draw`."""
        classes, groups = labels.cpu().unique(return_inverse=True)
        rows = self._offsets[classes].unsqueeze(1).repeat(1, samples_per_class)  # (G, S)
        mask = torch.zeros_like(rows, dtype=torch.bool)
        for line, size in enumerate(self._class_sizes[classes].tolist()):
            drawn = torch.randperm(size, generator=rng)[:samples_per_class]
            rows[line, : len(drawn)] += drawn
            mask[line, : len(drawn)] = True
        device = self._store.device
        return DrawnFeatures(self._store, rows.to(device), mask.to(device), groups.to(device))

    def rows(self) -> Iterator[FeatureBatch]:
        """Yield all rows; see :meth:`FeatureDictionary.rows`."""
        labels = torch.arange(self.num_classes).repeat_interleave(self._class_sizes)
        for part in torch.arange(len(labels)).split(ROWS_A_PART):
            yield FeatureBatch(self._store[part].cpu(), labels[part], self._sources[part])

    def to(self, device: torch.device) -> None:
        """Move the store; see :meth:`FeatureDictionary.to`."""
        self._store = self._store.to(device)

    def save(self, folder: Path) -> None:
        """Write features, sources and a manifest; see :meth:`FeatureDictionary.save`."""
        tensors = {"features": self._store, "sources": self._sources}
        write_tensors(folder / FEATURES_FILE, tensors)
        manifest = {
            "name": self.config.name,
            "stream_dims": list(self.stream_dims),
            "class_sizes": self._class_sizes.tolist(),
        }
        write_json(folder / MANIFEST_FILE, manifest)

    def load(self, folder: Path) -> None:
        """Read what :meth:`save` wrote; see :meth:`FeatureDictionary.load`."""
        try:
            manifest = read_json(folder / MANIFEST_FILE)
            tensors = load_file(folder / FEATURES_FILE)
            sizes, streams = manifest["class_sizes"], tuple(manifest["stream_dims"])
        except Exception as error:  # safetensors raises a type of its own
            raise RunFolderError(
                f"The feature dictionary in {folder} cannot be read: {error}. Expected "
                f"{MANIFEST_FILE} and {FEATURES_FILE}. Train the run again."
            ) from error
        if streams != self.stream_dims or len(sizes) != self.num_classes:
            raise RunFolderError(
                f"The feature dictionary in {folder} has streams {list(streams)} and "
                f"{len(sizes)} classes. Expected streams {list(self.stream_dims)} and "
                f"{self.num_classes} classes. Use the run that it belongs to."
            )
        if sum(sizes) != len(tensors["features"]):
            raise RunFolderError(
                f"The feature dictionary in {folder} names {sum(sizes)} rows and holds "
                f"{len(tensors['features'])}. Expected as many. Train the run again."
            )
        labels = torch.arange(self.num_classes).repeat_interleave(torch.tensor(sizes))
        self._hold(HeldRows(tensors["features"], labels, tensors["sources"]))
