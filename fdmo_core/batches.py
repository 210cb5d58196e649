"""From a split to batches of prepared images or features, in an order that the caller gives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader

from fdmo_core.preprocessing import PreparedSample, prepare
from fdmo_core.read_ahead import read_ahead
from fdmo_core.samples import Split
from fdmo_core.settings import Settings

READ_BATCH = 64  # images that one request to a worker asks for while the memory is filled


class LoadingConfig(Settings):
    """How images come from their source."""

    workers: int = Field(
        default=0, ge=0, description="Processes that read images; 0 reads in the main process."
    )
    start_method: Literal["auto", "fork", "spawn", "forkserver"] = Field(
        default="auto", description="How those processes are started; auto: as Python does here."
    )
    memory_mib: int = Field(
        default=2048,
        ge=0,
        description="Prepared images of a split are kept in memory if they need no more than this.",
    )


class Batch(NamedTuple):
    """Prepared images with what is known about them.

    Attributes:
        images: RGB. Shape ``(B, 3, H, W)``, uint8; or features, shape ``(B, F)``, float32.
        landmarks: x, y in pixels and a Visibility. Shape ``(B, K, 3)``, float32.
        labels: Shape ``(B,)``, int64.
        rows: Index in the split. Shape ``(B,)``, int64.
    """

    images: Tensor
    landmarks: Tensor
    labels: Tensor
    rows: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        return Batch(*(column.to(device, non_blocking=True) for column in self))


def scale_pixels(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [0, 1], as extractors take them; features as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


class _Prepared:
    """A split seen as prepared samples; picklable, for worker processes."""

    def __init__(self, split: Split, image_size: int) -> None:
        self._split = split
        self.image_size = image_size

    def __len__(self) -> int:
        return len(self._split.labels)

    def __getitem__(self, index: int) -> PreparedSample:
        return prepare(self._split[index], self.image_size)


@dataclass(frozen=True)
class _Kept:
    """All prepared images of a split, in memory."""

    images: Tensor
    landmarks: Tensor


class Batches:
    """Gives batches of one split.

    The first pass over a split that fits into memory prepares all its images; later passes only
    pick them. Batches are the same either way, and whatever the number of workers.

    Args:
        split: Where samples come from.
        image_size: Side of the square network input, in pixels.
        config: Workers and memory.
        pin_memory: Put batches where a GPU can fetch them while it computes.
        feature_dim: F of a split of features; 0 for images.
    """

    def __init__(
        self,
        split: Split,
        *,
        image_size: int,
        config: LoadingConfig,
        pin_memory: bool = False,
        feature_dim: int = 0,
    ) -> None:
        self.labels = torch.from_numpy(split.labels)
        self._prepared = _Prepared(split, image_size)
        self._config = config
        self._pin_memory = pin_memory
        self._item = (
            torch.empty(feature_dim, device="meta")
            if feature_dim
            else torch.empty(3, image_size, image_size, dtype=torch.uint8, device="meta")
        )
        needed = len(split.labels) * self._item.nbytes
        self._fits = needed <= config.memory_mib * 2**20
        self._kept: _Kept | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Yield every sample once, in the order of the split; the last batch may be smaller."""
        return self.read(torch.arange(len(self)).split(batch_size) if len(self) else ())

    def read(self, parts: Sequence[Tensor]) -> Iterator[Batch]:
        """Yield a batch for each part, the next one read while the last one is used.

        Args:
            parts: Indices in the split. Shapes ``(B,)``, int64; a part may be empty.
        """
        if not self._fits and self._config.workers:
            return self._read_from_source(parts)  # its workers read ahead
        return read_ahead(self._pick(parts) if self._fits else self._read_from_source(parts))

    def _read_from_source(self, parts: Sequence[Tensor]) -> Iterator[Batch]:
        for rows, part in zip(parts, self._read(parts), strict=True):
            yield Batch(part.images, part.landmarks, self.labels[rows], rows)

    def _pick(self, parts: Sequence[Tensor]) -> Iterator[Batch]:
        if not parts:
            return
        for _ in self.keep():
            pass
        kept = self._kept
        assert kept is not None
        for rows in parts:
            batch = Batch(kept.images[rows], kept.landmarks[rows], self.labels[rows], rows)
            yield Batch(*(column.pin_memory() for column in batch)) if self._pin_memory else batch

    def keep(self) -> Iterator[int]:
        """Prepare the whole split, if that is still to be done, and yield the images of each part.

        The images are kept once the iterator is exhausted.
        """
        if self._kept is not None:
            return
        images = torch.empty(len(self), *self._item.shape, dtype=self._item.dtype)
        landmarks, done = [], 0
        for part in self._read(torch.arange(len(self)).split(READ_BATCH)):
            images[done : done + len(part.images)] = part.images
            landmarks.append(part.landmarks)
            done += len(part.images)
            yield len(part.images)
        self._kept = _Kept(images, torch.cat(landmarks))

    @property
    def fits_memory(self) -> bool:
        """Whether prepared images are kept in memory."""
        return self._fits

    def _start_method(self) -> str | None:
        """Return how workers are started, None where there is nothing to say."""
        method = self._config.start_method
        return None if method == "auto" or not self._config.workers else method

    def _read(self, parts: Sequence[Tensor]) -> Iterator[_Kept]:
        loader: DataLoader[PreparedSample] = DataLoader(
            self._prepared,  # type: ignore[arg-type]  # asks for no more than these two methods
            batch_sampler=[part.tolist() or [0] for part in parts],  # image 0 tells K
            num_workers=self._config.workers,
            multiprocessing_context=self._start_method(),
            collate_fn=_stack,
            pin_memory=self._pin_memory,
        )
        for rows, read in zip(parts, loader, strict=True):
            yield _Kept(read.images[: len(rows)], read.landmarks[: len(rows)])


def _stack(samples: list[PreparedSample]) -> _Kept:
    images, landmarks = zip(*samples, strict=True)
    return _Kept(torch.stack(images), torch.stack(landmarks))
