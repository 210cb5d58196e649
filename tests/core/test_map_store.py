"""Conv maps on disk: what is written is read, and nothing unfinished or damaged is."""

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fdmo_core import map_store
from fdmo_core.errors import DataError, RunFolderError
from fdmo_core.map_store import (
    FORMAT_VERSION,
    MapStore,
    StoreLayout,
    finish_store,
    open_store,
)
from fdmo_core.randomness import rng_for

ORIGIN = {"prefix": "ab12", "views": 3}
ROWS = 11


def layout(precision: str = "fp32", *, landmarks: int = 2) -> StoreLayout:
    return StoreLayout(ROWS, 5, 4, 3, landmarks, precision)


def content(landmarks: int = 2) -> tuple[Tensor, Tensor]:
    rng = rng_for(0, "maps")
    return (
        torch.randn(ROWS, 5, 4, 3, generator=rng) * 10,
        torch.randn(ROWS, landmarks, 3, generator=rng) * 100,
    )


def write(folder: Path, kind: StoreLayout, *, batch: int = 4) -> None:
    """Write a store and finish it."""
    maps, landmarks = content(kind.num_landmarks)
    store = MapStore.create(folder, kind)
    for start in range(0, ROWS, batch):
        store.write(start, maps[start : start + batch], landmarks[start : start + batch])
    store.flush()
    finish_store(folder, kind, ORIGIN)


def opened(folder: Path) -> MapStore:
    store = open_store(folder, ORIGIN)
    assert store is not None
    return store


@pytest.mark.parametrize("landmarks", [0, 2])
def test_fp32_maps_come_back_bit_for_bit(tmp_path: Path, landmarks: int) -> None:
    write(tmp_path / "a", layout("fp32", landmarks=landmarks))

    maps, found_landmarks = opened(tmp_path / "a").read(torch.arange(ROWS))

    expected, expected_landmarks = content(landmarks)
    assert torch.equal(maps, expected)
    assert torch.equal(found_landmarks, expected_landmarks)
    assert maps.is_contiguous(memory_format=torch.channels_last)


def test_fp16_maps_come_back_as_rounded_to_half(tmp_path: Path) -> None:
    write(tmp_path / "a", layout("fp16"))

    maps, landmarks = opened(tmp_path / "a").read(torch.arange(ROWS))

    assert maps.dtype == landmarks.dtype == torch.float32
    assert torch.equal(maps, content()[0].half().float())
    assert torch.equal(landmarks, content()[1])


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_maps_may_be_read_as_they_lie_on_the_disk(tmp_path: Path, precision: str) -> None:
    write(tmp_path / "a", layout(precision))
    store = opened(tmp_path / "a")

    maps, landmarks = store.read(torch.arange(ROWS), store.dtype)

    assert maps.dtype == store.dtype == {"fp16": torch.float16, "fp32": torch.float32}[precision]
    assert torch.equal(maps, content()[0].to(store.dtype))
    assert landmarks.dtype == torch.float32


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("rows_a_shard", [1, 3, 4, ROWS, 100])
def test_rows_are_read_across_shards_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, rows_a_shard: int
) -> None:
    rows = torch.tensor([10, 0, 3, 3, 9, 4, 7])
    write(tmp_path / "whole", layout(precision))
    expected = opened(tmp_path / "whole").read(rows)
    monkeypatch.setattr(map_store, "SHARD_BYTES", rows_a_shard * layout(precision).row_bytes + 1)
    write(tmp_path / "shards", layout(precision))

    found = opened(tmp_path / "shards").read(rows)

    shards = sorted((tmp_path / "shards").glob("maps-*.bin"))
    assert len(shards) == -(-ROWS // rows_a_shard)
    assert all(map(torch.equal, found, expected))


def test_the_layout_knows_the_bytes_of_the_files(tmp_path: Path) -> None:
    for precision in ("fp16", "fp32"):
        kind = layout(precision)
        write(tmp_path / precision, kind)

        sizes = [one.stat().st_size for one in (tmp_path / precision).glob("*.bin")]

        assert kind.row_bytes == 5 * 4 * 3 * {"fp16": 2, "fp32": 4}[precision]
        assert kind.num_bytes == sum(sizes) == ROWS * (kind.row_bytes + 2 * 3 * 4)


def test_the_space_is_taken_before_anything_is_written(tmp_path: Path) -> None:
    MapStore.create(tmp_path / "a", layout())

    blocks = sum(one.stat().st_blocks * 512 for one in (tmp_path / "a").iterdir())
    assert blocks >= layout().num_bytes


@pytest.mark.parametrize("value", [70_000.0, -1e9, float("inf"), float("nan")])
def test_what_does_not_fit_into_fp16_is_refused(tmp_path: Path, value: float) -> None:
    maps, landmarks = content()
    maps[2, 1, 1, 1] = value
    store = MapStore.create(tmp_path / "a", layout("fp16"))

    with pytest.raises(DataError) as caught:
        store.write(0, maps, landmarks)

    assert str(caught.value) == (
        f"A map of the frozen prefix reaches {abs(value):.4g}. Expected finite numbers that fp16 "
        f"holds. Set cache.precision = 'fp32'."
    )


def test_fp32_holds_what_fp16_does_not(tmp_path: Path) -> None:
    maps, landmarks = content()
    maps[2, 1, 1, 1] = 70_000
    store = MapStore.create(tmp_path / "a", layout())

    store.write(0, maps, landmarks)

    assert torch.equal(store.read(torch.tensor([2]))[0], maps[2:3])


def test_what_a_reader_changes_stays_its_own(tmp_path: Path) -> None:
    write(tmp_path / "a", layout())
    before = {one.name: one.read_bytes() for one in (tmp_path / "a").iterdir()}

    maps, landmarks = opened(tmp_path / "a").read(torch.arange(ROWS))
    maps.zero_()
    landmarks.zero_()

    assert {one.name: one.read_bytes() for one in (tmp_path / "a").iterdir()} == before


def test_a_store_that_was_never_finished_is_none(tmp_path: Path) -> None:
    MapStore.create(tmp_path / "a", layout()).write(0, *content())

    assert open_store(tmp_path / "a", ORIGIN) is None
    assert open_store(tmp_path / "missing", ORIGIN) is None


@pytest.mark.parametrize(
    "origin", [{}, {"prefix": "ab12"}, ORIGIN | {"views": 4}, ORIGIN | {"more": 1}]
)
def test_a_store_of_another_origin_is_none(tmp_path: Path, origin: dict[str, Any]) -> None:
    write(tmp_path / "a", layout())

    assert open_store(tmp_path / "a", origin) is None


def change_manifest(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 0, None, str(FORMAT_VERSION)])
def test_a_store_of_another_version_is_none(tmp_path: Path, version: object) -> None:
    write(tmp_path / "a", layout())

    change_manifest(tmp_path / "a", format=version)

    assert open_store(tmp_path / "a", ORIGIN) is None


@pytest.mark.parametrize(
    "garbage",
    [b"", b"{", b"[]", b"null", b"3", b'"text"', b"\xff\xfe", b"{}", b"[" * 100_000, b"\0" * 64],
    ids=lambda garbage: repr(garbage[:8]),
)
def test_a_manifest_of_garbage_is_none(tmp_path: Path, garbage: bytes) -> None:
    write(tmp_path / "a", layout())

    (tmp_path / "a" / "manifest.json").write_bytes(garbage)

    assert open_store(tmp_path / "a", ORIGIN) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "fp8"},
        {"rows": 12},
        {"rows": "11"},
        {"rows": 1.5},
        {"rows": None},
        {"rows": -1},
        {"rows": 2**80},
        {"channels": 0},
        {"channels": 2**62},
        {"height": 5},
        {"num_landmarks": 3},
        {"num_landmarks": -1},
        {"width": 4},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_layout_that_the_files_do_not_have_is_none(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    write(tmp_path / "a", layout())

    change_manifest(tmp_path / "a", layout=layout()._asdict() | changes)

    assert open_store(tmp_path / "a", ORIGIN) is None


@pytest.mark.parametrize("name", ["maps-00000.bin", "maps-00002.bin", "landmarks.bin"])
@pytest.mark.parametrize("change", ["shorter", "longer", "empty", "gone", "folder"])
def test_files_of_other_sizes_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: str
) -> None:
    monkeypatch.setattr(map_store, "SHARD_BYTES", 4 * layout().row_bytes)
    write(tmp_path / "a", layout())
    file = tmp_path / "a" / name
    bytes_held = file.read_bytes()

    file.unlink()
    if change == "folder":
        file.mkdir()
    elif change != "gone":
        changed = {"shorter": bytes_held[:-1], "longer": bytes_held + b"\0", "empty": b""}
        file.write_bytes(changed[change])

    assert open_store(tmp_path / "a", ORIGIN) is None


def fill_a_full_disk(folder: str) -> str:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    with pytest.raises(RunFolderError) as caught:
        MapStore.create(Path(folder), StoreLayout(100, 5, 4, 3, 0, "fp32"))
    return str(caught.value)


def test_a_disk_without_space_is_an_error_before_anything_is_written(
    tmp_path: Path, in_processes: Callable[..., list[Any]]
) -> None:
    (message,) = in_processes(1, fill_a_full_disk, tmp_path / "a")

    assert message == (
        f"Cannot write {tmp_path / 'a' / 'maps-00000.bin'}: File too large. Expected a writable "
        f"folder with enough free space. Free some space or choose another folder with --out."
    )


def test_a_folder_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    write(tmp_path / "a", layout())

    with pytest.raises((FileExistsError, RunFolderError)):
        MapStore.create(tmp_path / "a", layout())

    assert open_store(tmp_path / "a", ORIGIN) is not None
