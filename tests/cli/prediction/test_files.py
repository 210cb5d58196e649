"""Which files ``fdmo predict`` classifies."""

import os
from io import BytesIO
from pathlib import Path

import pytest

from fdmo_cli.prediction.files import list_files


def make(folder: Path, *names: str | bytes) -> None:
    for name in names:
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def listed(*paths: object, stdin: bytes = b"") -> list[str]:
    return list(list_files(map(str, paths), BytesIO(stdin)))


def test_a_folder_stands_for_the_images_below_it_sorted(tmp_path: Path) -> None:
    make(tmp_path, "b/2.PNG", "b/10.jpg", "a.jpeg", "a.txt", "c/d/e.webp", ".h.jpg", ".x/y.jpg")

    found = [str(Path(one).relative_to(tmp_path)) for one in listed(tmp_path)]

    assert found == ["a.jpeg", "b/10.jpg", "b/2.PNG", "c/d/e.webp"]


def test_a_file_is_taken_whatever_it_is_called_or_whether_it_is_there(tmp_path: Path) -> None:
    make(tmp_path, "photo.dat")

    assert listed(tmp_path / "photo.dat", "nowhere.jpg") == [
        str(tmp_path / "photo.dat"),
        "nowhere.jpg",
    ]


def test_names_of_any_bytes_survive(tmp_path: Path) -> None:
    make(tmp_path, b"\xff\xfe.jpg", "line\nend.jpg", "😀.jpg")

    assert [os.fsencode(one)[len(os.fsencode(tmp_path)) + 1 :] for one in listed(tmp_path)] == [
        b"line\nend.jpg",
        b"\xff\xfe.jpg",
        "😀.jpg".encode(),
    ]


def test_names_come_from_stdin_one_a_line() -> None:
    found = listed("first.jpg", "-", "last.jpg", stdin=b"a b.jpg\n\n\xff.png\r\nend.jpg")

    assert found == ["first.jpg", "a b.jpg", "\udcff.png", "end.jpg", "last.jpg"]


def test_a_folder_that_cannot_be_listed_is_told_when_it_is_opened(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "locked/b.jpg")
    (tmp_path / "locked").chmod(0)
    if os.access(tmp_path / "locked", os.R_OK):
        pytest.skip("this user may read everything")

    assert listed(tmp_path) == [f"{tmp_path}/a.jpg", f"{tmp_path}/locked"]
