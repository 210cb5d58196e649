from typing import Any

import pytest

from fdmo_core import DataError
from fdmo_plugins.datasets.table.columns import (
    BOX_COLUMNS,
    Columns,
    LandmarkColumns,
    find_columns,
    mirrored_pairs,
)


def find(*header: str, **changes: Any) -> Columns:
    settings = {"path": "path", "label": "label", "split": "split", "box": BOX_COLUMNS}
    return find_columns(header, **{**settings, "landmarks": True, **changes})


def test_path_and_label_are_enough() -> None:
    assert find("label", "path", "note") == Columns("path", "label", None, (), ())


def test_only_columns_that_mean_something_are_read() -> None:
    columns = find("path", "label", "note", "split", "box", "hem_x", "hem_y")

    assert columns.names() == ["path", "label", "split", "box", "hem_x", "hem_y"]


def test_a_missing_column_is_told_with_those_found_and_the_closest() -> None:
    with pytest.raises(DataError) as caught:
        find("paht", "label")

    assert str(caught.value) == (
        "The table has no column 'path'. Found: paht, label. Did you mean 'paht'? Rename the "
        "column, or set data.path_column."
    )


def test_one_single_column_hints_at_the_delimiter() -> None:
    with pytest.raises(DataError, match=r"set data\.delimiter"):
        find("path;label;split")


def test_a_table_of_features_hints_at_their_data_set() -> None:
    with pytest.raises(DataError, match=r"If the rows are features .*set data\.name = 'features'"):
        find("label", "f0", "f1")


def test_a_split_column_under_a_name_of_its_own_must_be_there() -> None:
    with pytest.raises(DataError, match=r"no column 'part'\. .* or set data\.split_column"):
        find("path", "label", split="part")


@pytest.mark.parametrize("name", ["Split", " split", "splits"])
def test_a_column_nearly_called_split_is_not_ignored(name: str) -> None:
    with pytest.raises(DataError, match=rf"column '{name}' and none of the name 'split'"):
        find("path", "label", name)


def test_four_box_columns_come_before_one() -> None:
    assert find("path", "label", "box", *BOX_COLUMNS).box == BOX_COLUMNS


def test_a_part_of_the_box_columns_is_told() -> None:
    with pytest.raises(DataError, match=r"no column 'right'\. .* or set data\.box_columns"):
        find("path", "label", "left", "top", "bottom")


def test_no_box_is_looked_for_if_none_is_named() -> None:
    assert find("path", "label", *BOX_COLUMNS, box=()).box == ()


def test_landmarks_follow_the_header() -> None:
    columns = find("path", "label", "hem_x", "neck_v", "neck_y", "neck_x", "hem_y", "max_x")

    assert columns.landmarks == (
        LandmarkColumns("hem", "hem_x", "hem_y", None),
        LandmarkColumns("neck", "neck_x", "neck_y", "neck_v"),
    )


def test_a_visibility_without_a_position_is_told() -> None:
    with pytest.raises(DataError, match=r"column 'hem_v', but not both hem_x and hem_y"):
        find("path", "label", "hem_x", "hem_v")


def test_a_mirror_exchanges_left_and_right() -> None:
    names = ["collar_left", "collar", "collar_right", "left_hem"]

    assert mirrored_pairs(names) == ((0, 2),)
