"""A cache that a stopped run left unfinished is gone on with, if it is the same one."""

import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fdmo_core.checkpoint import CheckpointConfig
from fdmo_core.compute import Compute
from fdmo_core.journal import Journal
from fdmo_core.maps import MapBatch
from fdmo_core.prefix_cache import WRITE_BATCH, CacheConfig, CacheSource, open_caches
from fdmo_core.randomness import rng_for
from fdmo_core.stopping import Interrupted, StopRequest

BATCHES = 4
ROWS = BATCHES * WRITE_BATCH
MAPS = torch.randn(ROWS, 2, 3, 3, generator=rng_for(0, "maps"))


class KilledError(Exception):
    """Stands for the end of the process: nothing is written on the way out."""


class Prefix:
    """Picks maps, says which rows it was asked for, and fails or stops after some batches."""

    def __init__(self, *, dies_after: int = BATCHES, stop: StopRequest | None = None) -> None:
        self.asked: list[int] = []
        self._dies_after = dies_after
        self._stop = stop

    def __call__(self, parts: Sequence[Tensor]) -> Iterator[MapBatch]:
        for index, rows in enumerate(parts):
            if len(parts) > 1 and index == self._dies_after:
                raise KilledError
            if len(rows) == WRITE_BATCH:
                self.asked.append(int(rows[0]) // WRITE_BATCH)
            if self._stop is not None and index == 1:
                self._stop.receive(signal.SIGTERM, None)
            yield MapBatch(MAPS[rows], torch.zeros(len(rows), 0, 3), rows % 3, rows)


def opened(folder: Path, prefix: Prefix, *, stop: StopRequest | None = None, **origin: Any) -> None:
    source = CacheSource("train", {"prefix": "ab", **origin}, ROWS, prefix)
    (store,) = open_caches(
        {"train": source},
        CacheConfig(folder=str(folder), precision="fp32"),
        compute=Compute(torch.device("cpu")),
        journal=Journal(stop=stop),
        checkpoint=CheckpointConfig(steps=2),
    ).values()
    assert torch.equal(store.read(torch.arange(ROWS))[0], MAPS)
    (entry,) = (one for one in folder.iterdir() if one.is_dir())
    assert not list(entry.glob("*progress*"))


def kill(folder: Path, after: int = 3) -> Path:
    """Leave a cache of so many batches, of which every second was noted."""
    with pytest.raises(KilledError):
        opened(folder, Prefix(dies_after=after))
    (unfinished,) = (one for one in folder.iterdir() if one.is_dir())
    return unfinished


def test_what_was_noted_is_not_computed_again(tmp_path: Path) -> None:
    kill(tmp_path)
    prefix = Prefix()

    opened(tmp_path, prefix)

    assert prefix.asked == [2, 3]


def test_rows_that_were_torn_after_the_note_are_written_again(tmp_path: Path) -> None:
    (maps,) = kill(tmp_path).glob("maps-*.bin")
    with maps.open("r+b") as file:
        file.seek(2 * maps.stat().st_size // BATCHES)
        file.write(b"\xff" * (maps.stat().st_size // 2))

    opened(tmp_path, Prefix())


def test_a_run_that_is_asked_to_stop_notes_all_that_it_did(tmp_path: Path) -> None:
    stop = StopRequest()
    with pytest.raises(Interrupted, match=r"Stopped by SIGTERM at 2 of 4 of cache train\."):
        opened(tmp_path, Prefix(stop=stop), stop=stop)
    prefix = Prefix()

    opened(tmp_path, prefix)

    assert prefix.asked == [2, 3]


def test_what_was_never_noted_is_begun_anew(tmp_path: Path) -> None:
    kill(tmp_path, after=1)
    prefix = Prefix()

    opened(tmp_path, prefix)

    assert prefix.asked == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "change",
    [
        {"processes": 2},
        {"batch_size": 1},
        {"origin": {"prefix": "cd"}},
        {"layout": {}},
        {"format": 0},
        {"done": -1},
        {"done": None},
    ],
    ids=str,
)
def test_a_note_of_something_else_is_not_trusted(tmp_path: Path, change: dict[str, Any]) -> None:
    (file,) = kill(tmp_path).glob("progress-0.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    prefix = Prefix()

    opened(tmp_path, prefix)

    assert prefix.asked == [0, 1, 2, 3]


@pytest.mark.parametrize("damage", ["note", "shard", "missing"])
def test_a_damaged_cache_is_begun_anew(tmp_path: Path, damage: str) -> None:
    unfinished = kill(tmp_path)
    (maps,) = unfinished.glob("maps-*.bin")
    if damage == "note":
        (unfinished / "progress-0.json").write_text('{"done": 2')
    elif damage == "shard":
        maps.write_bytes(maps.read_bytes()[:-1])
    else:
        maps.unlink()
    prefix = Prefix()

    opened(tmp_path, prefix)

    assert prefix.asked == [0, 1, 2, 3]
