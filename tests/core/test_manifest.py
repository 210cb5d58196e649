import hashlib
import json
from pathlib import Path

import pytest

from fdmo_core.errors import RunFolderError
from fdmo_core.manifest import (
    MANIFEST_FILE,
    add_to_manifest,
    describe_damage,
    files_below,
    fingerprint,
    fingerprint_file,
    list_anew,
    read_manifest,
    require_intact,
)


def write(file: Path, content: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write(tmp_path / "data.json", b"{}")
    write(tmp_path / "dictionary" / "a.bin", b"\x00\x01")
    write(tmp_path / "dictionary" / "b.bin", b"")
    add_to_manifest(tmp_path, ["data.json", "dictionary/a.bin", "dictionary/b.bin"])
    return tmp_path


def test_a_fingerprint_is_size_and_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    expected = (len(content), hashlib.sha256(content).hexdigest())

    assert fingerprint(content) == expected
    assert fingerprint_file(write(tmp_path / "file", content)) == expected


def test_the_manifest_is_plain_data_by_name(run: Path) -> None:
    content = json.loads((run / MANIFEST_FILE).read_text())

    assert content["format"] == 1
    assert list(content["files"]) == ["data.json", "dictionary/a.bin", "dictionary/b.bin"]
    assert content["files"]["data.json"] == {
        "bytes": 2,
        "sha256": hashlib.sha256(b"{}").hexdigest(),
    }
    assert read_manifest(run)["dictionary/b.bin"] == fingerprint(b"")


def test_a_file_may_be_listed_before_it_is_written(run: Path) -> None:
    add_to_manifest(run, [], soon={"metrics.json": b"{}"})

    assert describe_damage(run / "metrics.json", read_manifest(run)["metrics.json"]) == (
        "it is missing"
    )
    write(run / "metrics.json", b"{}")
    require_intact(run, "metrics.json")


def test_a_file_that_is_written_anew_is_listed_anew(run: Path) -> None:
    write(run / "data.json", b"[1]")

    add_to_manifest(run, ["data.json"])

    require_intact(run, "data.json")
    assert len(read_manifest(run)) == 3


def test_a_part_is_listed_anew(run: Path) -> None:
    (run / "dictionary" / "a.bin").unlink()
    write(run / "dictionary" / "b.bin", b"new")
    write(run / "dictionary" / "deeper" / "c.bin", b"c")

    list_anew(run, "dictionary")

    assert list(read_manifest(run)) == ["data.json", "dictionary/b.bin", "dictionary/deeper/c.bin"]
    require_intact(run, "data.json", part="dictionary")


def test_without_a_manifest_no_part_is_listed(tmp_path: Path) -> None:
    write(tmp_path / "export" / "model.onnx", b"x")

    list_anew(tmp_path, "export")

    assert not (tmp_path / MANIFEST_FILE).exists()


def test_files_below_are_those_that_are_not_hidden(run: Path) -> None:
    write(run / ".lock", b"")
    write(run / "dictionary" / ".a.bin.1.tmp", b"")

    assert [file.relative_to(run).as_posix() for file in files_below(run)] == [
        "data.json",
        "dictionary/a.bin",
        "dictionary/b.bin",
        "manifest.json",
    ]


def test_intact_files_pass_and_others_are_not_looked_at(run: Path) -> None:
    write(run / "dictionary" / "a.bin", b"\x00\x02")

    require_intact(run, "data.json", "unlisted.json")
    require_intact(run, "dictionary/b.bin")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\x00\x02", "its SHA-256 is another one"),
        (b"\x00", "it has 1 bytes instead of 2"),
        (None, "it is missing"),
    ],
)
def test_a_damaged_file_is_refused(run: Path, content: bytes | None, problem: str) -> None:
    file = run / "dictionary" / "a.bin"
    file.unlink()
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(RunFolderError) as caught:
        require_intact(run, part="dictionary")

    assert str(caught.value) == (
        f"{file} is not what the run wrote: {problem}. Expected the file that manifest.json lists. "
        f"Restore it from a copy, or train again."
    )


def test_a_folder_in_place_of_a_file_is_damage(run: Path) -> None:
    (run / "data.json").unlink()
    (run / "data.json").mkdir()

    with pytest.raises(RunFolderError, match=r"it cannot be read \(Is a directory\)"):
        require_intact(run, "data.json")


def test_a_loop_of_links_is_damage(run: Path) -> None:
    (run / "data.json").unlink()
    (run / "data.json").symlink_to(run / "data.json")

    with pytest.raises(RunFolderError, match=r"it cannot be read \(Too many levels"):
        require_intact(run, "data.json")


def test_a_folder_without_a_manifest_is_taken_as_it_is(tmp_path: Path) -> None:
    require_intact(tmp_path, "data.json")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        b'{"format": 2, "files": {}}',
        b'{"format": 1, "files": [1]}',
        b'{"format": 1, "files": {"a": {}}}',
        b'{"format": 1, "files": {"a": {"bytes": Infinity, "sha256": ""}}}',
        b"[" * 100_000,
    ],
    ids=range(9),
)
def test_a_broken_manifest_is_refused(run: Path, content: bytes) -> None:
    (run / MANIFEST_FILE).write_bytes(content)

    with pytest.raises(RunFolderError, match=r"manifest.json cannot be read: "):
        require_intact(run, "data.json")
