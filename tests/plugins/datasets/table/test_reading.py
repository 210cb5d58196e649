import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from fdmo_core import ConfigError, DataError
from fdmo_plugins.datasets.table.reading import CHUNK_ROWS, MAX_LINE, open_table


def read(file: Path, *names: str, delimiter: str = "", encoding: str = "utf-8") -> list[list[str]]:
    table = open_table(file, delimiter=delimiter, encoding=encoding)
    return [
        list(row)
        for chunk in table.chunks(names)
        for row in zip(*(chunk.columns[name] for name in names), strict=True)
    ]


def written(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def test_cells_come_as_text_by_column(tmp_path: Path) -> None:
    file = written(tmp_path, 'a,b,c\n1,"x, ""y""",3\n\n4,"line\nend",\n')

    assert read(file, "c", "b") == [["3", 'x, "y"'], ["", "line\nend"]]


@pytest.mark.parametrize(
    ("name", "delimiter", "text"),
    [("t.tsv", "", "a\tb\n1\t2\n"), ("t.TAB", "", "a\tb\n1\t2\n"), ("t.csv", ";", "a;b\n1;2\n")],
)
def test_cells_are_divided_as_the_ending_or_the_setting_says(
    tmp_path: Path, name: str, delimiter: str, text: str
) -> None:
    assert read(written(tmp_path, text, name), "a", "b", delimiter=delimiter) == [["1", "2"]]


def test_a_byte_order_mark_and_carriage_returns_are_no_part_of_a_name(tmp_path: Path) -> None:
    file = written(tmp_path, b'\xef\xbb\xbf"a",b\r\n1,2\r\n')

    assert read(file, "a", "b") == [["1", "2"]]


def test_other_encodings_are_read_if_they_are_named(tmp_path: Path) -> None:
    file = written(tmp_path, "a,b\nm\u00fctze,1\n".encode("utf-16"))

    assert read(file, "a", encoding="utf-16") == [["m\u00fctze"]]


def test_text_in_another_encoding_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    file = written(tmp_path, "a,b\ncoat,1\nm\u00fctze,1\n".encode("cp1252"))

    with pytest.raises(DataError) as caught:
        read(file, "a")

    assert str(caught.value) == (
        f"Line 3 of '{file}' is not text in utf-8. Expected that throughout. Save the table as "
        f"UTF-8 (for instance with 'iconv -f cp1252 -t utf-8'), or set data.encoding to what it is "
        f"in, such as cp1252 or utf-16."
    )


@pytest.mark.parametrize("encoding", ["nonsense", "zlib"])
def test_an_encoding_that_is_none_of_text_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(ConfigError, match=rf"^data\.encoding is '{encoding}'\. Expected an enc"):
        read(written(tmp_path, "a\n1\n"), "a", encoding=encoding)


def test_rows_of_another_length_are_faults_with_their_line(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, "a,b\n1\n2,3\n4,5,6\n"), delimiter="", encoding="utf-8")

    (chunk,) = table.chunks(["a"])

    assert (chunk.numbers, chunk.columns["a"]) == ([3], ("2",))
    assert chunk.faults == {
        2: "The line has 1 cells. Expected 2, as the header.",
        4: "The line has 3 cells. Expected 2, as the header.",
    }


def test_a_long_table_comes_in_parts(tmp_path: Path) -> None:
    file = written(tmp_path, "a\n" + "".join(f"{n}\n" for n in range(CHUNK_ROWS + 5)))

    chunks = list(open_table(file, delimiter="", encoding="utf-8").chunks(["a"]))

    assert [len(chunk.numbers) for chunk in chunks] == [CHUNK_ROWS, 5]
    assert chunks[1].numbers[0] == CHUNK_ROWS + 2


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_a_file_without_a_header_is_told(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"is empty\. Expected a first line with the names"):
        read(written(tmp_path, content))


def test_a_quote_that_is_not_closed_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read as a table up to line 3: .*not closed"):
        read(written(tmp_path, 'a,b\n"1,2\n3,4\n'), "a")


def test_a_file_without_line_ends_is_not_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"^Line 1 of '.*' is longer than {MAX_LINE} characters"):
        read(written(tmp_path, "a" * (MAX_LINE + 1)), "a")


def test_a_column_name_that_repeats_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"more than one column of the name: a\. Expected each name"
    ):
        read(written(tmp_path, "a,b,a\n"), "a")


def test_an_unknown_ending_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in '\.xlsx'. Expected a table that ends in \.csv"):
        read(written(tmp_path, "", "t.xlsx"))


def test_parquet_cells_become_text(tmp_path: Path) -> None:
    columns = {
        "path": pyarrow.array(["a.png", "b.png"]).dictionary_encode(),
        "label": [3, None],
        "box": pyarrow.array([[1, 2, 3.5, 4], None]),
        "other": [True, False],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")

    assert read(tmp_path / "t.parquet", "path", "label", "box") == [
        ["a.png", "3", "1.0 2.0 3.5 4.0"],
        ["b.png", "", ""],
    ]


def test_a_file_that_is_no_parquet_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.parquet' cannot be read as a table: "):
        read(written(tmp_path, "path,label\n", "t.parquet"))


def test_a_column_that_cannot_be_text_is_told(tmp_path: Path) -> None:
    table = pyarrow.table({"path": [{"a": 1}], "label": ["x"]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")

    with pytest.raises(DataError, match="Expected a Parquet file with columns of text, numbers"):
        read(tmp_path / "t.parquet", "path")


def test_without_pyarrow_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ConfigError, match=r"not installed\. .* pip install 'fdmo\[parquet\]'"):
        read(written(tmp_path, "", "t.parquet"))
