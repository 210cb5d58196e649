"""Caches of the frozen prefix: said, bounded, written once, and never read when they are wrong."""

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from filelock import FileLock
from torch import Tensor

from fdmo_core import prefix_cache
from fdmo_core.compute import Compute
from fdmo_core.errors import DataError, RunFolderError
from fdmo_core.journal import Journal, Progress
from fdmo_core.map_store import MapStore
from fdmo_core.maps import MapBatch
from fdmo_core.prefix_cache import GIB, WRITE_BATCH, CacheConfig, CacheSource, open_caches
from fdmo_core.randomness import rng_for
from fdmo_core.world import joined_world

InProcesses = Callable[..., list[Any]]
CPU = Compute(torch.device("cpu"))
ROWS = 2 * WRITE_BATCH + 10
ROW_BYTES = 4 * 6 * 6 * 2 + 2 * 3 * 4  # fp16 maps and two landmarks
NUM_BYTES = ROWS * ROW_BYTES
KIB = 2**10


def content(seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = rng_for(seed, "content")
    return torch.randn(ROWS, 4, 6, 6, generator=rng), torch.randn(ROWS, 2, 3, generator=rng)


class Prefix:
    """Computes maps by picking them, and counts the rows that it was asked for."""

    def __init__(self, seed: int = 0) -> None:
        self.maps, self.landmarks = content(seed)
        self.computed = 0

    def __call__(self, parts: Sequence[Tensor]) -> Iterator[MapBatch]:
        for rows in parts:
            self.computed += len(rows)
            yield MapBatch(self.maps[rows], self.landmarks[rows], rows % 3, rows)

    def source(self, name: str = "train", **origin: Any) -> CacheSource:
        return CacheSource(name, {"prefix": "ab", "split": name, **origin}, ROWS, self)


class Told(NamedTuple):
    """What a journal was told."""

    notices: list[str]
    shown: list[Progress]


def opened(
    folder: Path, *sources: CacheSource, told: Told | None = None, **options: Any
) -> dict[str, MapStore]:
    told = told or Told([], [])
    return open_caches(
        {one.name: one for one in sources},
        CacheConfig(folder=str(folder), **options),
        compute=CPU,
        journal=Journal(show=told.shown.append, say=told.notices.append),
    )


def everything(store: MapStore) -> Tensor:
    return store.read(torch.arange(ROWS))[0]


def entries(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir() if one.is_dir())


def test_a_cache_holds_what_the_prefix_makes(tmp_path: Path) -> None:
    prefix = Prefix()

    stores = opened(tmp_path / "new" / "cache", prefix.source())

    maps, landmarks = stores["train"].read(torch.arange(ROWS))
    assert torch.equal(maps, prefix.maps.half().float())
    assert torch.equal(landmarks, prefix.landmarks)


def test_precision_is_configured(tmp_path: Path) -> None:
    prefix = Prefix()

    stores = opened(tmp_path, prefix.source(), precision="fp32")

    assert torch.equal(everything(stores["train"]), prefix.maps)


def test_the_size_is_said_before_anything_is_written(tmp_path: Path) -> None:
    held: list[list[str]] = []
    notices: list[str] = []

    def say(text: str) -> None:
        notices.append(text)
        held.append(entries(tmp_path))

    sources = {name: Prefix().source(name) for name in ("train", "val")}

    open_caches(sources, CacheConfig(folder=str(tmp_path)), compute=CPU, journal=Journal(say=say))

    (notice,) = notices
    assert held == [[]]
    assert re.fullmatch(
        rf"The frozen prefix is computed once per image and kept in {tmp_path}: "
        rf"{2 * NUM_BYTES / KIB:.2f} KiB for train, val; [\d.]+ GiB are free\.",
        notice,
    )
    assert len(entries(tmp_path)) == 2


def test_progress_is_shown_by_batches(tmp_path: Path) -> None:
    told = Told([], [])

    opened(tmp_path, Prefix().source(), told=told)

    assert told.shown == [Progress("cache train", done, 3, {}) for done in (1, 2, 3)]


def test_a_cache_is_written_once_and_then_reused(tmp_path: Path) -> None:
    first, second, told = Prefix(), Prefix(), Told([], [])
    opened(tmp_path, first.source())
    files = {one: one.stat().st_mtime_ns for one in tmp_path.rglob("*") if one.is_file()}

    stores = opened(tmp_path, second.source(), told=told)

    assert ROWS <= first.computed <= ROWS + 1
    assert second.computed == prefix_cache.NUM_PROBED
    assert told == Told([], [])
    assert torch.equal(everything(stores["train"]), first.maps.half().float())
    files.pop(tmp_path / ".lock", None)
    assert {one: one.stat().st_mtime_ns for one in files} == files


def test_only_what_is_missing_is_written(tmp_path: Path) -> None:
    opened(tmp_path, Prefix().source("train"))
    train, val, told = Prefix(), Prefix(1), Told([], [])

    stores = opened(tmp_path, train.source("train"), val.source("val"), told=told)

    assert list(stores) == ["train", "val"]
    assert train.computed == prefix_cache.NUM_PROBED
    assert torch.equal(everything(stores["val"]), val.maps.half().float())
    assert "KiB for val;" in told.notices[0]


@pytest.mark.parametrize(
    "changed", [{"prefix": "cd"}, {"data": "2"}, {"image_size": 48}, {"augmentation": {"zoom": 1}}]
)
def test_another_origin_gets_a_cache_of_its_own(tmp_path: Path, changed: dict[str, Any]) -> None:
    opened(tmp_path, Prefix().source())
    other = Prefix(1)

    stores = opened(tmp_path, other.source(**changed))

    assert torch.equal(everything(stores["train"]), other.maps.half().float())
    assert len(entries(tmp_path)) == 2


def test_a_cache_whose_content_is_wrong_is_written_anew(tmp_path: Path) -> None:
    opened(tmp_path, Prefix(0).source())
    now = Prefix(1)  # says that nothing changed, and computes something else

    stores = opened(tmp_path, now.source())

    assert torch.equal(everything(stores["train"]), now.maps.half().float())
    assert len(entries(tmp_path)) == 1


def test_a_cache_with_other_landmarks_is_written_anew(tmp_path: Path) -> None:
    opened(tmp_path, Prefix().source())
    now = Prefix()
    now.landmarks = now.landmarks + 1

    stores = opened(tmp_path, now.source())

    assert torch.equal(stores["train"].read(torch.arange(ROWS))[1], now.landmarks)


@pytest.mark.parametrize("shape", ["map", "landmarks", "rows"])
def test_a_cache_of_another_form_is_written_anew(tmp_path: Path, shape: str) -> None:
    opened(tmp_path, Prefix().source())
    now = Prefix()
    if shape == "map":
        now.maps = now.maps[:, :, :3]
    if shape == "landmarks":
        now.landmarks = now.landmarks[:, :1]
    source = now.source()
    if shape == "rows":
        now.maps, now.landmarks = (torch.cat([one, one]) for one in (now.maps, now.landmarks))
        source = CacheSource("train", source.origin, 2 * ROWS, now)

    stores = opened(tmp_path, source)

    rows = torch.arange(source.num_rows)
    assert torch.equal(stores["train"].read(rows)[0], now.maps.half().float())


@pytest.mark.parametrize("damage", ["manifest", "shard", "format"])
def test_a_damaged_cache_is_written_anew(tmp_path: Path, damage: str) -> None:
    opened(tmp_path, Prefix().source())
    (entry,) = (tmp_path / name for name in entries(tmp_path))
    if damage == "manifest":
        (entry / "manifest.json").write_text("{")
    elif damage == "shard":
        (entry / "maps-00000.bin").write_bytes(b"\0" * 100)
    else:
        manifest = json.loads((entry / "manifest.json").read_text())
        (entry / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    now = Prefix()

    stores = opened(tmp_path, now.source())

    assert now.computed >= ROWS
    assert torch.equal(everything(stores["train"]), now.maps.half().float())


class Stopped(Exception):  # noqa: N818  # no error of fdmo's
    """Stands for a run that is killed while it writes."""


def break_off(folder: Path) -> None:
    """Leave a cache that is written in part."""
    prefix = Prefix()

    def stop(parts: Sequence[Tensor]) -> Iterator[MapBatch]:
        for index, one in enumerate(prefix(parts)):
            if index:
                raise Stopped
            yield one

    with pytest.raises(Stopped):
        opened(folder, CacheSource("train", prefix.source().origin, ROWS, stop))


def test_an_unfinished_cache_is_never_read_and_gives_way_to_a_whole_one(tmp_path: Path) -> None:
    break_off(tmp_path)
    assert [name.partition(".")[2] for name in entries(tmp_path)] == ["unfinished"]
    now = Prefix()

    stores = opened(tmp_path, now.source())

    assert now.computed >= ROWS
    assert torch.equal(everything(stores["train"]), now.maps.half().float())
    assert [name.partition(".")[2] for name in entries(tmp_path)] == [""]


def test_a_cache_that_breaks_off_frees_the_folder_for_others(tmp_path: Path) -> None:
    break_off(tmp_path)

    lock = FileLock(tmp_path / ".lock")
    lock.acquire(timeout=0)
    lock.release()


def test_caches_above_the_bound_are_refused_with_a_list_of_what_is_there(tmp_path: Path) -> None:
    opened(tmp_path, Prefix().source("val"))
    (held,) = entries(tmp_path)
    most = 1.5 * NUM_BYTES / GIB
    prefix = Prefix()

    with pytest.raises(RunFolderError) as caught:
        opened(tmp_path, prefix.source("train"), max_gib=most)

    size = sum(one.stat().st_size for one in (tmp_path / held).iterdir())
    assert str(caught.value) == (
        f"The caches in {tmp_path} would take {(NUM_BYTES + size) / KIB:.2f} KiB. Expected at most "
        f"cache.max_gib = {most:g}. Raise it, remove old caches, or set cache.folder = '' to keep "
        f"none. There now:\n  {held}: {size / KIB:.2f} KiB"
    )
    assert prefix.computed <= 1
    assert entries(tmp_path) == [held]


def test_a_first_cache_above_the_bound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"to keep none\. There now: nothing$"):
        opened(tmp_path, Prefix().source(), max_gib=0.5 * NUM_BYTES / GIB)


@pytest.mark.parametrize("left_over", ["unfinished", "damaged"])
def test_what_is_about_to_be_replaced_does_not_count_against_the_bound(
    tmp_path: Path, left_over: str
) -> None:
    if left_over == "unfinished":
        break_off(tmp_path)
    else:
        opened(tmp_path, Prefix(1).source())

    opened(tmp_path, Prefix().source(), max_gib=1.5 * NUM_BYTES / GIB)

    assert len(entries(tmp_path)) == 1


def test_a_disk_without_the_space_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=NUM_BYTES - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    with pytest.raises(RunFolderError) as caught:
        opened(tmp_path, Prefix().source())

    assert str(caught.value) == (
        f"The cache in {tmp_path} needs {NUM_BYTES / KIB:.2f} KiB, but "
        f"{(NUM_BYTES - 1) / KIB:.2f} KiB are free. Expected enough space. Set cache.folder to a "
        f"larger disk, free some space, or set cache.folder = '' to keep none."
    )
    assert entries(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        RunFolderError, match=r"No cache can be kept in .*/file/cache: Not a directory"
    ):
        opened(tmp_path / "file" / "cache", Prefix().source())


def test_a_folder_in_which_no_lock_can_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()

    with pytest.raises(RunFolderError, match="No cache can be kept in "):
        opened(tmp_path, Prefix().source())


def test_a_whole_cache_is_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    prefix = Prefix()
    opened(tmp_path, prefix.source())
    (tmp_path / ".lock").unlink()
    (tmp_path / ".lock").mkdir()  # so that no lock can be made

    store = opened(tmp_path, prefix.source())["train"]

    assert torch.equal(everything(store), prefix.maps.half().float())


def test_maps_that_fp16_cannot_hold_are_refused_and_leave_no_cache(tmp_path: Path) -> None:
    prefix = Prefix()
    prefix.maps = prefix.maps.clone()
    prefix.maps[WRITE_BATCH + 3, 0, 0, 0] = 1e6

    with pytest.raises(DataError, match=r"reaches 1e\+06\. .* Set cache\.precision = 'fp32'\."):
        opened(tmp_path, prefix.source())

    assert opened(tmp_path, Prefix().source(), precision="fp32")


def test_nothing_to_cache_touches_no_disk(tmp_path: Path) -> None:
    assert opened(tmp_path / "cache") == {}
    assert not (tmp_path / "cache").exists()


def test_a_run_waits_for_another_one_that_writes_and_says_so(tmp_path: Path) -> None:
    told = Told([], [])
    lock = FileLock(tmp_path / ".lock")
    lock.acquire()
    run = threading.Thread(target=opened, args=(tmp_path, Prefix().source()), kwargs={"told": told})

    run.start()
    deadline = time.monotonic() + 5
    while not told.notices and time.monotonic() < deadline:
        time.sleep(0.01)
    while_locked = entries(tmp_path)
    lock.release()
    run.join(timeout=10)

    assert told.notices[0] == (f"Another run writes caches into {tmp_path}; this one waits for it.")
    assert while_locked == []
    assert len(entries(tmp_path)) == 1


def open_as_one_of_two_runs(folder: str) -> int:
    """Open the cache as a run of its own, slowly, and return how many rows were computed."""
    prefix = Prefix()

    def slow(parts: Sequence[Tensor]) -> Iterator[MapBatch]:
        for one in prefix(parts):
            time.sleep(0.05)
            yield one

    source = CacheSource("train", prefix.source().origin, ROWS, slow)
    stores = opened(Path(folder), source)
    assert torch.equal(everything(stores["train"]), prefix.maps.half().float())
    return prefix.computed


def test_two_runs_at_the_same_time_write_a_cache_once(
    tmp_path: Path, in_processes: InProcesses
) -> None:
    computed = in_processes(2, open_as_one_of_two_runs, tmp_path)

    assert min(computed) == prefix_cache.NUM_PROBED
    assert ROWS <= max(computed) <= ROWS + 1
    assert len(entries(tmp_path)) == 1


def open_together(folder: str, seed: int) -> list[Any]:
    """Open the cache as one of the processes of a run."""
    prefix, told = Prefix(seed), Told([], [])
    with joined_world(CPU.device) as world:
        stores = open_caches(
            {"train": prefix.source()},
            CacheConfig(folder=folder),
            compute=Compute(CPU.device, world=world),
            journal=Journal(show=told.shown.append),
        )
        is_right = torch.equal(everything(stores["train"]), prefix.maps.half().float())
    return [is_right, prefix.computed, [one.done for one in told.shown]]


@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_processes_of_a_run_write_the_cache_of_one_together(
    tmp_path: Path, in_processes: InProcesses, size: int
) -> None:
    opened(tmp_path / "alone", Prefix().source())

    found = in_processes(size, open_together, tmp_path / "together", 0)

    batches = [len(range(rank, 3, size)) for rank in range(size)]
    assert [is_right for is_right, _, _ in found] == [True] * size
    assert [shown for _, _, shown in found] == [list(range(1, one + 1)) for one in batches]
    assert sum(computed for _, computed, _ in found) <= ROWS + size
    alone, together = (
        {one.name: one.read_bytes() for one in (tmp_path / name).rglob("*") if one.is_file()}
        for name in ("alone", "together")
    )
    assert together == alone


def test_the_processes_of_a_run_replace_a_wrong_cache_together(
    tmp_path: Path, in_processes: InProcesses
) -> None:
    opened(tmp_path, Prefix(1).source())

    found = in_processes(3, open_together, tmp_path, 0)

    assert [is_right for is_right, _, _ in found] == [True] * 3


def open_where_one_finds_the_cache_wrong(folder: str) -> bool:
    """Open a good cache as one of two processes, the second of which takes it for a bad one."""
    prefix, right = Prefix(), Prefix()

    def compute(parts: Sequence[Tensor]) -> Iterator[MapBatch]:
        is_probe = world.rank == 1 and prefix.computed == 0
        for one in prefix(parts):
            yield one._replace(maps=one.maps + 1) if is_probe else one

    with joined_world(CPU.device) as world:
        stores = open_caches(
            {"train": CacheSource("train", prefix.source().origin, ROWS, compute)},
            CacheConfig(folder=folder),
            compute=Compute(CPU.device, world=world),
            journal=Journal(),
        )
        world.wait()
        return torch.equal(everything(stores["train"]), right.maps.half().float())


def test_processes_that_disagree_about_a_cache_write_it_anew_together(
    tmp_path: Path, in_processes: InProcesses
) -> None:
    opened(tmp_path, Prefix().source())

    assert in_processes(2, open_where_one_finds_the_cache_wrong, tmp_path, seconds=15) == [True] * 2


def open_beyond_the_bound(folder: str) -> None:
    with joined_world(CPU.device) as world:
        open_caches(
            {"train": Prefix().source()},
            CacheConfig(folder=folder, max_gib=1e-9),
            compute=Compute(CPU.device, world=world),
            journal=Journal(),
        )


def test_what_the_first_process_refuses_stops_all(
    tmp_path: Path, in_processes: InProcesses
) -> None:
    first, *others = in_processes(3, open_beyond_the_bound, tmp_path, outcomes=True, seconds=20)

    assert first[0] == 1
    assert "RunFolderError: The caches in" in first[1]
    for code, message in others:
        assert code == 1
        assert "TrainingError: Process " in message.rstrip().splitlines()[-1]
