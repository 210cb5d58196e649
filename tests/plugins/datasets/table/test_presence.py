import os
from pathlib import Path

import numpy as np
import pytest

from fdmo_plugins.datasets.table import presence
from fdmo_plugins.datasets.table.presence import IRREGULAR, MISSING, UNLISTED, file_sizes
from fdmo_plugins.datasets.table.rows import PackedTexts, Rows


def rows_of(*paths: str) -> Rows:
    encoded = [path.encode() for path in paths]
    count = len(paths)
    return Rows(
        numbers=np.arange(count),
        paths=PackedTexts(b"".join(encoded), np.cumsum([len(path) for path in encoded])),
        path_keys=np.array([hash(path) for path in encoded]),
        folder_keys=np.array([hash(path.rpartition(b"/")[0]) for path in encoded]),
        labels=np.zeros(count, dtype=np.int32),
        label_names=("a",),
        splits=np.zeros(count, dtype=np.int8),
        boxes=np.zeros((count, 0), dtype=np.float32),
        landmarks=np.zeros((count, 0, 3), dtype=np.float32),
    )


def stamp(size: int) -> int:
    return 1 + size * presence.STAMP_FACTOR  # of a file that was changed at time 0


def test_stamps_follow_the_rows_whatever_their_folders(tmp_path: Path) -> None:
    for path, size in {"a": 1, "b/a": 2, "b/c/m\u00fctze": 3}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"x" * size)
        os.utime(tmp_path / path, ns=(0, 0))
    (tmp_path / "link").symlink_to(tmp_path / "b" / "a")

    rows = rows_of("b/a", "a", "b/c/m\u00fctze", "link", "a", str(tmp_path / "b/a"))

    assert file_sizes(tmp_path, rows).tolist() == [stamp(size) for size in (2, 1, 3, 2, 1, 2)]


def test_what_is_no_file_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")

    sizes = file_sizes(tmp_path, rows_of("none", "no/one", "folder", "broken", "no/two", "folder/"))

    assert sizes.tolist() == [MISSING, UNLISTED, IRREGULAR, IRREGULAR, UNLISTED, MISSING]


def test_large_folders_are_listed_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "LISTED_AT_ONCE", 2)
    for number in range(5):
        (tmp_path / f"{number}").write_bytes(b"x" * (number + 1))
        os.utime(tmp_path / f"{number}", ns=(0, 0))

    sizes = file_sizes(tmp_path, rows_of("4", "0", "3", "5"))

    assert sizes.tolist() == [stamp(5), stamp(1), stamp(4), MISSING]
