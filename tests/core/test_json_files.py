from pathlib import Path

import pytest

from fdmo_core.json_files import MAX_JSON_BYTES, read_json


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"ü": [1, null]}', encoding="utf-8")

    assert read_json(tmp_path / "a.json") == {"ü": [1, None]}


def test_a_file_that_is_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, 2]")

    assert read_json(tmp_path / "a.json", max_bytes=6) == [1, 2]
    with pytest.raises(ValueError, match="it has more than 5 bytes"):
        read_json(tmp_path / "a.json", max_bytes=5)


def test_the_limit_holds_where_none_is_given(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(MAX_JSON_BYTES + 1)  # takes no space on the disk

    with pytest.raises(ValueError, match="it has more than 67108864 bytes"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\xff", b"[" * 100_000, b"1" * 10_000, b"{", b"nope"], ids=range(6)
)
def test_what_is_no_json_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)

    with pytest.raises(ValueError, match=r"."):
        read_json(tmp_path / "a.json")


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")
