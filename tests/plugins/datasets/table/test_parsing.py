from pathlib import Path

import pytest

from fdmo_core import DataError
from fdmo_plugins.datasets.table import parsing
from fdmo_plugins.datasets.table.columns import BOX_COLUMNS, find_columns
from fdmo_plugins.datasets.table.parsing import Parser
from fdmo_plugins.datasets.table.reading import open_table
from fdmo_plugins.datasets.table.rows import Rows, joined_rows


def parse(tmp_path: Path, text: str) -> tuple[Rows, Parser]:
    (tmp_path / "t.csv").write_text(text)
    table = open_table(tmp_path / "t.csv", delimiter="", encoding="utf-8")
    columns = find_columns(
        table.header, path="path", label="label", split="split", box=BOX_COLUMNS, landmarks=True
    )
    parser = Parser(columns, "corners", allow_outside_root=False)
    return joined_rows(parser.chunks(table), parser.label_names), parser


@pytest.mark.parametrize(
    ("x", "y", "visibility", "expected"),
    [
        ("1", "2", "", [1, 2, 3]),
        ("", "", "", [0, 0, 0]),
        ("1", "2", "Occluded", [1, 2, 2]),
        ("1", "2", "2.0", [1, 2, 2]),
        ("-5", "2", "truncated", [-5, 2, 1]),
        ("", "", "1", [0, 0, 1]),
        ("nan", "nan", "nan", [0, 0, 0]),
    ],
)
def test_visibilities_are_names_numbers_or_empty(
    tmp_path: Path, x: str, y: str, visibility: str, expected: list[float]
) -> None:
    rows, _ = parse(tmp_path, f"path,label,hem_x,hem_y,hem_v\na,b,{x},{y},{visibility}\n")

    assert rows.landmarks.tolist() == [[expected]]


@pytest.mark.parametrize("cells", ["1,,3", "1,2,4", "1,2,seen", "inf,2,3", "x,2,3", ",,visible"])
def test_landmarks_that_contradict_themselves_are_faults(tmp_path: Path, cells: str) -> None:
    rows, parser = parse(tmp_path, f"path,label,hem_x,hem_y,hem_v\na,b,{cells}\n")

    assert len(rows) == 0
    assert parser.faults == {
        2: f"Landmark 'hem' is '{cells.replace(',', ' ')}'. Expected x and y, and a visibility of: "
        f"absent, truncated, occluded, visible, or 0 to 3."
    }


@pytest.mark.parametrize("box", ["1 2 3", "1 2 3 4 5", "1 2 inf 4", "1 2 1e30 4", "3 2 1 4", "a"])
def test_boxes_without_an_area_are_faults(tmp_path: Path, box: str) -> None:
    _, parser = parse(tmp_path, f"path,label,box\na,b,{box}\n")

    assert parser.faults == {
        2: f"The box is '{box}'. Expected four numbers that span an area, or none."
    }


@pytest.mark.parametrize("box", ["1 2 3 4", "1;2;3;4", '"(1.0, 2, 3, 4)"', '"[1,2,3,4]"'])
def test_four_numbers_may_be_written_in_any_usual_way(tmp_path: Path, box: str) -> None:
    rows, _ = parse(tmp_path, f"path,label,box\na,b,{box}\n")

    assert rows.boxes.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_a_path_that_names_no_file_is_a_fault(tmp_path: Path, path: str) -> None:
    _, parser = parse(tmp_path, f"path,label\n{path},b\n")

    assert parser.faults == {2: f"The path {path!r} is empty or has a zero byte. Expected a file."}


def test_the_first_fault_of_a_row_is_kept_and_the_others_rows_stay(tmp_path: Path) -> None:
    rows, parser = parse(tmp_path, "path,label,split\n../a,,x\nb,c,train\n")

    assert [rows.paths[index] for index in range(len(rows))] == ["b"]
    assert rows.numbers.tolist() == [3]
    assert parser.faults[2].startswith("The path '../a' leaves data.root.")
    assert parser.num_rows == 2


@pytest.mark.parametrize("limit", ["MAX_LABELS", "MAX_FAULTS"])
def test_a_table_of_nothing_but_labels_or_faults_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(parsing, limit, 2)
    rows = {"MAX_LABELS": "a,b\na,c\na,d\n", "MAX_FAULTS": "/a,b\n/a,b\n/a,b\n"}[limit]
    message = {"MAX_LABELS": "has more than 2 different labels", "MAX_FAULTS": "More than 2 rows"}

    with pytest.raises(DataError, match=message[limit]):
        parse(tmp_path, f"path,label\n{rows}")
