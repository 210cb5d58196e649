"""Batches of what the network takes: images or features through the prefix, computed or cached."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from fdmo_core.augmentation import AugmentationConfig, Changes, augment, draw_changes
from fdmo_core.batches import Batch, Batches, scale_pixels
from fdmo_core.compute import Compute
from fdmo_core.map_store import MapStore
from fdmo_core.network import Network
from fdmo_core.randomness import rng_for
from fdmo_core.read_ahead import read_ahead
from fdmo_core.world import World


class MapBatch(NamedTuple):
    """Maps with what is known about their images, on the device.

    Attributes:
        maps: What the frozen prefix gives, or images in [0, 1] where the streams share none. Shape
            ``(B, M, H, W)``, float32; of features ``(B, F)``.
        landmarks: x, y in pixels and a Visibility. Shape ``(B, K, 3)``, float32.
        labels: Shape ``(B,)``, int64.
        rows: Index in the split. Shape ``(B,)``, int64.
    """

    maps: Tensor
    landmarks: Tensor
    labels: Tensor
    rows: Tensor


class Maps(ABC):
    """Gives this process's share of the maps of one split.

    Attributes:
        labels: Class of every image of the split. Shape ``(N,)``, int64.
    """

    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def training(
        self, steps: Sequence[Tensor], *, seed: int, epoch: int, first: int = 0
    ) -> Iterator[MapBatch]:
        """Yield this process's share of each step of an epoch of phase 1, augmented.

        Args:
            steps: The rows of each step, those of all processes. Shapes ``(B,)``, int64.
            seed: Of the run.
            epoch: Decides how images are changed.
            first: The step to begin with; those before are not read.
        """

    @abstractmethod
    def in_order(self, batch_size: int, *, first: int = 0) -> Iterator[MapBatch]:
        """Yield this process's share of the batches of one pass, without augmentation.

        Args:
            batch_size: Images at a time.
            first: The batch of the share to begin with; those before are not read.
        """

    @abstractmethod
    def alone(self) -> "Maps":
        """Return the same maps for one process that shares them with no other."""


class LiveMaps(Maps):
    """Reads images and computes their maps whenever they are asked for.

    Args:
        batches: Where images come from.
        model: Its frozen prefix is applied.
        compute: Device, precision and processes.
        augmentation: How far training images may be changed.
        mirrored_landmarks: Pairs of landmarks that a mirror exchanges.
    """

    def __init__(
        self,
        batches: Batches,
        model: Network,
        compute: Compute,
        *,
        augmentation: AugmentationConfig,
        mirrored_landmarks: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.labels = batches.labels
        self.augmentation = augmentation
        self._batches = batches
        self._model = model
        self._compute = compute
        self._mirrored_landmarks = mirrored_landmarks

    def training(
        self, steps: Sequence[Tensor], *, seed: int, epoch: int, first: int = 0
    ) -> Iterator[MapBatch]:
        """Yield augmented batches; see :meth:`Maps.training`.

        How an image is changed depends on its place in the step, not on the number of processes.
        """
        share = self._compute.world.rows
        batches = self._batches.read([rows[share] for rows in steps[first:]])
        for step, batch in enumerate(batches, first):
            rng = rng_for(seed, "phase1-augment", epoch, step)
            changes = draw_changes(len(steps[step]), self.augmentation, rng).of(share)
            yield self._through_prefix(batch, changes)

    def in_order(self, batch_size: int, *, first: int = 0) -> Iterator[MapBatch]:
        """Yield batches as they are; see :meth:`Maps.in_order`."""
        parts = torch.arange(len(self)).split(batch_size) if len(self) else ()
        return self.plain(self._compute.world.share(parts)[first:])

    def alone(self) -> "LiveMaps":
        """Return them unshared; see :meth:`Maps.alone`."""
        return LiveMaps(
            self._batches,
            self._model,
            replace(self._compute, world=World()),
            augmentation=self.augmentation,
            mirrored_landmarks=self._mirrored_landmarks,
        )

    def plain(self, parts: Sequence[Tensor]) -> Iterator[MapBatch]:
        """Yield the maps of some rows, without augmentation.

        Args:
            parts: Rows of the split. Shapes ``(B,)``, int64.
        """
        return map(self._through_prefix, self._batches.read(parts))

    def views(self, parts: Sequence[Tensor], *, seed: int) -> Iterator[MapBatch]:
        """Yield augmented maps; what each looks like does not depend on the others.

        Args:
            parts: Places, each ``view * N + row``. Shapes ``(B,)``, int64.
            seed: Of the run.
        """
        batches = self._batches.read([places % len(self) for places in parts])
        for places, batch in zip(parts, batches, strict=True):
            drawn = [
                draw_changes(1, self.augmentation, rng_for(seed, "cached-view", place))
                for place in places.tolist()
            ]
            changes = Changes(*(torch.cat(column) for column in zip(*drawn, strict=True)))
            yield self._through_prefix(batch, changes)

    @torch.no_grad()
    def _through_prefix(self, batch: Batch, changes: Changes | None = None) -> MapBatch:
        batch = batch.to(self._compute.device)
        images, landmarks = scale_pixels(batch.images), batch.landmarks
        if changes is not None and self.augmentation.any() and len(images):
            images, landmarks = augment(
                images, landmarks, changes, mirrored_landmarks=self._mirrored_landmarks
            )
        with self._compute.autocast():
            maps = self._model.prefix(images).float()
        return MapBatch(maps, landmarks, batch.labels, batch.rows)


class CachedMaps(Maps):
    """Reads maps that were computed before.

    Args:
        store: One map per image, or several augmented views of each: place ``view * N + row``.
        live: Of the same split; asked where ``store`` has augmented views and plain ones are
            wanted.
        compute: Device and processes.
        is_augmented: Whether the store holds augmented views.
    """

    def __init__(
        self, store: MapStore, live: LiveMaps, compute: Compute, *, is_augmented: bool
    ) -> None:
        self.labels = live.labels
        self._store = store
        self._live = live
        self._compute = compute
        self._is_augmented = is_augmented
        self._num_views = store.layout.rows // len(self)

    def training(
        self, steps: Sequence[Tensor], *, seed: int, epoch: int, first: int = 0
    ) -> Iterator[MapBatch]:
        """Yield a random view of each image; see :meth:`Maps.training`."""
        share, places = self._compute.world.rows, []
        for step, rows in enumerate(steps[first:], first):
            rng = rng_for(seed, "phase1-view", epoch, step)
            view = torch.randint(self._num_views, rows.shape, generator=rng)
            places.append((view * len(self) + rows)[share])
        return self._read(places)

    def in_order(self, batch_size: int, *, first: int = 0) -> Iterator[MapBatch]:
        """Yield plain maps; see :meth:`Maps.in_order`."""
        if self._is_augmented:
            return self._live.in_order(batch_size, first=first)
        parts = torch.arange(len(self)).split(batch_size)
        return self._read(self._compute.world.share(parts)[first:])

    def alone(self) -> "CachedMaps":
        """Return them unshared; see :meth:`Maps.alone`."""
        return CachedMaps(
            self._store,
            self._live.alone(),
            replace(self._compute, world=World()),
            is_augmented=self._is_augmented,
        )

    def _read(self, places: Sequence[Tensor]) -> Iterator[MapBatch]:
        device = self._compute.device
        for fetched in read_ahead(self._fetch(one) for one in places):
            batch = MapBatch(*(column.to(device, non_blocking=True) for column in fetched))
            yield batch._replace(maps=batch.maps.float())

    def _fetch(self, places: Tensor) -> MapBatch:
        """Read maps; a GPU gets them as they lie on the disk and widens them itself."""
        on_cpu = self._compute.device.type == "cpu"
        maps, landmarks = self._store.read(places, torch.float32 if on_cpu else self._store.dtype)
        rows = places % len(self)
        return self._compute.pinned(MapBatch(maps, landmarks, self.labels[rows], rows))
