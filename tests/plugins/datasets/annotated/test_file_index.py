import os
from pathlib import Path

import pytest

from fdmo_plugins.datasets.annotated.file_index import (
    AMBIGUOUS,
    IRREGULAR,
    MISSING,
    STAMP_FACTOR,
    UNLISTED,
    FileIndex,
    leaves_root,
)


def write(file: Path, text: str = "abc", *, changed: int = 0) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, ns=(changed, changed))


STAMP = 1 + 3 * STAMP_FACTOR  # of "abc", changed at time 0


def test_a_stamp_follows_size_and_time_of_change(tmp_path: Path) -> None:
    stamps = set()
    for text, changed in (("abc", 0), ("abcd", 0), ("abc", 10**9)):
        write(tmp_path / "1.jpg", text, changed=changed)
        stamps.add(FileIndex(tmp_path).find("1.jpg").size)

    assert len(stamps) == 3


def test_a_file_is_found_with_its_stamp(tmp_path: Path) -> None:
    write(tmp_path / "img" / "Tee" / "1.jpg")

    assert FileIndex(tmp_path).find("img/Tee/1.jpg") == ("img/Tee/1.jpg", STAMP)


def test_folders_that_differ_by_case_only_are_found_at_any_depth(tmp_path: Path) -> None:
    write(tmp_path / "IMG" / "A-line_Dress" / "1.jpg")

    found = FileIndex(tmp_path).find("img/A-Line_Dress/1.jpg")

    assert found == ("IMG/A-line_Dress/1.jpg", STAMP)


def test_the_folder_as_listed_comes_first(tmp_path: Path) -> None:
    write(tmp_path / "A-line" / "1.jpg", "other")
    write(tmp_path / "A-Line" / "1.jpg")
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("the file system does not tell upper from lower case")

    index = FileIndex(tmp_path)

    assert index.find("A-Line/1.jpg") == ("A-Line/1.jpg", STAMP)
    assert index.find("a-line/1.jpg") == ("a-line/1.jpg", AMBIGUOUS)


def test_names_of_files_are_taken_as_they_are(tmp_path: Path) -> None:
    write(tmp_path / "img" / "1.JPG")

    assert FileIndex(tmp_path).find("img/1.jpg").size == MISSING


def test_what_cannot_be_used_is_told_apart(tmp_path: Path) -> None:
    write(tmp_path / "empty.jpg", "")
    (tmp_path / "link.jpg").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    index = FileIndex(tmp_path)

    paths = ("empty.jpg", "link.jpg", "folder", "none.jpg", "none/1.jpg", "empty.jpg/1.jpg")

    assert [index.find(path).size for path in paths] == [
        0, IRREGULAR, MISSING, MISSING, UNLISTED, UNLISTED
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "\\a",
        "../a",
        "img/../../a",
        "img\\..\\a",
        "C:/a",
        "a\0b",
        "a/" * 17,
        "a" * 1025,
    ],
)
def test_a_path_that_leaves_the_root_is_known(path: str) -> None:
    assert leaves_root(path)


@pytest.mark.parametrize("path", ["img/a.jpg", "a..b/c.jpg", "ab:c.jpg", "..a/b"])
def test_a_path_below_the_root_stays(path: str) -> None:
    assert not leaves_root(path)
