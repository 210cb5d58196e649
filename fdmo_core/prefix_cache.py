"""Keeps what the frozen prefix makes of each image on disk, for all epochs and for later runs."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock, Timeout
from pydantic import Field
from torch import Tensor

from fdmo_core.cache_progress import CacheProgress, remove_progress
from fdmo_core.checkpoint import CheckpointConfig, Interval
from fdmo_core.compute import Compute
from fdmo_core.errors import RunFolderError
from fdmo_core.files import readable_size
from fdmo_core.journal import Journal
from fdmo_core.map_store import MapStore, StoreLayout, finish_store, open_store
from fdmo_core.maps import MapBatch
from fdmo_core.settings import Settings
from fdmo_core.stopping import Interrupted
from fdmo_core.world import World

WRITE_BATCH = 64  # images at a time while a cache is written
NUM_PROBED = 4  # rows that are computed again when a cache is opened
TOLERANCE = 0.02  # of the largest value: another device or batch size rounds otherwise
LOCK_SECONDS = 60.0  # Gloo waits half an hour for a process
GIB = 2**30


class CacheConfig(Settings):
    """Where the output of the frozen prefix that both streams share is kept."""

    folder: str = Field(
        default="runs/prefix-cache", description="Folder of all caches; empty to keep none."
    )
    precision: Literal["fp16", "fp32"] = Field(
        default="fp16", description="fp32 takes twice the space and changes no bit."
    )
    max_gib: float = Field(
        default=100.0, gt=0, description="Most that all caches in the folder may take, in GiB."
    )
    views: int = Field(
        default=0,
        ge=0,
        description="Augmented views kept of each training image; 0 augments anew in each epoch, "
        "without a cache. Of no effect without augmentation.",
    )


@dataclass(frozen=True)
class CacheSource:
    """What a cache is of.

    Attributes:
        name: For people, such as ``"train"``.
        origin: Everything that decides the maps, as plain data: digests of weights and data,
            preprocessing, precision.
        num_rows: R, how many maps.
        compute: Yields the maps of each part of the rows.
    """

    name: str
    origin: dict[str, Any]
    num_rows: int
    compute: Callable[[Sequence[Tensor]], Iterator[MapBatch]]

    @property
    def entry(self) -> str:
        """Name of the cache's folder."""
        text = json.dumps(self.origin, sort_keys=True).encode()
        return f"{self.name}-{hashlib.blake2b(text, digest_size=12).hexdigest()}"

    @property
    def unfinished(self) -> str:
        """Name of the folder while the cache is written."""
        return f"{self.entry}.unfinished"


def open_caches(
    sources: Mapping[str, CacheSource],
    config: CacheConfig,
    *,
    compute: Compute,
    journal: Journal,
    checkpoint: CheckpointConfig | None = None,
) -> dict[str, MapStore]:
    """Return a filled cache for each source, by name; those that are missing are written.

    The size of what is missing is said first. One run writes at a time; another one that wants
    the same cache waits, and finds it written.

    Args:
        sources: Of one run, by name.
        config: Folder, precision and bound.
        compute: The processes share the writing; ``config.folder`` must then be one for all.
        journal: Told the sizes and shown the progress.
        checkpoint: How often it is noted how far a cache has come, for a run that is killed to go
            on from there.

    Raises:
        RunFolderError: The caches would exceed ``config.max_gib`` or the disk.
    """
    if not sources:
        return {}
    folder = Path(config.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_cache(folder, error) from error
    stores = _opened(folder, sources, config, compute.world)
    if len(stores) == len(sources):  # no turn is needed to read, nor a folder that can be written
        return stores
    with _turn(folder, compute.world, journal):
        missing = {name: one for name, one in sources.items() if name not in stores}
        stores |= _opened(folder, missing, config, compute.world)  # what others wrote meanwhile
        missing = {name: one for name, one in missing.items() if name not in stores}
        layouts = {
            name: _layout(next(one.compute([torch.tensor([0])])), one, config)
            for name, one in missing.items()
        }
        if missing and compute.world.is_first:
            _require_space(folder, missing, layouts, config, journal)
        for name, one in missing.items():
            stores[name] = _write(
                folder,
                one,
                layouts[name],
                world=compute.world,
                journal=journal,
                interval=Interval(checkpoint or CheckpointConfig()),
            )
        return stores


@contextmanager
def _turn(folder: Path, world: World, journal: Journal) -> Iterator[None]:
    """Wait until no other run writes caches into the folder."""
    lock = FileLock(folder / ".lock")
    if world.is_first:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            journal.notice(f"Another run writes caches into {folder}; this one waits for it.")
        except OSError as error:
            raise _cannot_cache(folder, error) from error
    while not world.from_first(lambda: _acquired(lock)):
        pass  # the other processes hear of the first one before their patience with it ends
    try:
        yield
    finally:
        lock.release()


def _acquired(lock: FileLock) -> bool:
    """Return whether the lock is held after at most a minute of waiting."""
    if not lock.is_locked:
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            return False
    return True


def _opened(
    folder: Path, sources: Mapping[str, CacheSource], config: CacheConfig, world: World
) -> dict[str, MapStore]:
    """Return the caches that all processes find whole."""
    stores: dict[str, MapStore] = {}
    for name, one in sources.items():
        store = _open(folder, one, config)
        if world.all(store is not None) and store is not None:
            stores[name] = store
    return stores


def _open(folder: Path, source: CacheSource, config: CacheConfig) -> MapStore | None:
    """Return the cache if it is there and a few of its rows are what the prefix makes now."""
    store = open_store(folder / source.entry, source.origin)
    if store is None:
        return None
    rows = torch.arange(NUM_PROBED) * (source.num_rows - 1) // (NUM_PROBED - 1)
    (now,) = source.compute([rows])
    if store.layout != _layout(now, source, config):
        return None
    kept, landmarks = store.read(rows)
    maps = now.maps.cpu()
    has_same_maps = bool((maps - kept).abs().max() <= TOLERANCE * maps.abs().max())
    has_same_landmarks = torch.allclose(now.landmarks.cpu(), landmarks, atol=1e-2)
    return store if has_same_maps and has_same_landmarks else None


def _layout(some: MapBatch, source: CacheSource, config: CacheConfig) -> StoreLayout:
    """Return the layout of a cache from some of its rows."""
    _, channels, height, width = some.maps.shape
    num_landmarks = some.landmarks.shape[1]
    return StoreLayout(source.num_rows, channels, height, width, num_landmarks, config.precision)


def _require_space(
    folder: Path,
    missing: Mapping[str, CacheSource],
    layouts: Mapping[str, StoreLayout],
    config: CacheConfig,
    journal: Journal,
) -> None:
    needed = sum(layout.num_bytes for layout in layouts.values())
    replaced = {name for one in missing.values() for name in (one.entry, one.unfinished)}
    held = {
        entry.name: _folder_bytes(entry)
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and entry.name not in replaced
    }
    free = shutil.disk_usage(folder).free + sum(
        _folder_bytes(folder / name) for name in replaced if (folder / name).is_dir()
    )
    journal.notice(
        f"The frozen prefix is computed once per image and kept in {folder}: "
        f"{readable_size(needed)} for {', '.join(layouts)}; {readable_size(free)} are free."
    )
    if needed + sum(held.values()) > config.max_gib * GIB:
        listed = "".join(f"\n  {name}: {readable_size(size)}" for name, size in held.items())
        raise RunFolderError(
            f"The caches in {folder} would take {readable_size(needed + sum(held.values()))}. "
            f"Expected at most cache.max_gib = {config.max_gib:g}. Raise it, remove old caches, or "
            f"set cache.folder = '' to keep none. There now:{listed or ' nothing'}"
        )
    if needed > free:
        raise RunFolderError(
            f"The cache in {folder} needs {readable_size(needed)}, but {readable_size(free)} are "
            f"free. Expected enough space. Set cache.folder to a larger disk, free some space, or "
            f"set cache.folder = '' to keep none."
        )


def _write(
    folder: Path,
    source: CacheSource,
    layout: StoreLayout,
    *,
    world: World,
    journal: Journal,
    interval: Interval,
) -> MapStore:
    """Fill a cache under a temporary name, each process its share, then give it its name.

    One that a run left unfinished is gone on with, if as many processes began it.
    """
    unfinished = folder / source.unfinished
    progress = CacheProgress(unfinished, source.origin, layout, world, batch_size=WRITE_BATCH)
    begun = world.gather(progress.read())
    done = 0 if None in begun else begun[world.rank]
    if world.is_first:
        again = () if None not in begun else (unfinished,)
        for left_over in (*again, folder / source.entry):
            if left_over.exists():
                shutil.rmtree(left_over)
        if None in begun:
            MapStore.create(unfinished, layout)
    world.wait()
    store = MapStore(unfinished, layout, mode="r+")
    own = world.share(torch.arange(source.num_rows).split(WRITE_BATCH))
    interval.begin()
    try:
        for rows, computed in zip(own[done:], source.compute(own[done:]), strict=True):
            store.write(int(rows[0]), computed.maps.cpu(), computed.landmarks.cpu())
            done += 1
            if interval.is_over(done):
                progress.keep(store, done)
                interval.begin()
            journal.progress(f"cache {source.name}", done, len(own))
    except Interrupted:
        progress.keep(store, done)
        raise
    store.flush()
    world.wait()
    if world.is_first:
        finish_store(unfinished, layout, source.origin)
        unfinished.rename(folder / source.entry)
        remove_progress(folder / source.entry)
    world.wait()
    return MapStore(folder / source.entry, layout)


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _cannot_cache(folder: Path, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"No cache can be kept in {folder}: {error.strerror or error}. Expected a folder that can "
        f"be written to. Set cache.folder to another one, or to '' to keep none."
    )
