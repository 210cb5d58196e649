import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from fdmo_core import ConfigError, DataError, Splits, Visibility
from fdmo_plugins.datasets.table.dataset import TableConfig, TableDataset


def load(table: Path, seed: int = 0, **options: Any) -> Splits:
    return TableDataset(TableConfig(file=str(table), **options), seed=seed).load()


def sources(splits: Splits, name: str) -> list[str]:
    split = splits.named()[name]
    return [split.source(index) for index in range(len(split.labels))]


def write_image(root: Path, path: str, red: int = 0) -> str:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (red, 0, 0)).save(root / path)
    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes lines into a table and draws an image for every path in them."""

    def write_table(header: str, *lines: str, name: str = "labels.csv") -> Path:
        table = tmp_path / name
        table.write_text("\n".join([header, *lines]) + "\n")
        for red, line in enumerate(lines):
            write_image(tmp_path, line.partition(",")[0], red)
        return table

    return write_table


def many(count: int, *labels: str) -> list[str]:
    return [f"{label}/{n}.png,{label}" for label in labels for n in range(count)]


def test_rows_become_samples_in_the_splits_that_they_name(write: Callable[..., Path]) -> None:
    table = write(
        "path,label,split",
        "a.png,coat,train",
        "b.png,bag,train",
        "c.png,coat,val",
        "d.png,bag,test",
    )

    splits = load(table)

    assert splits.class_names == ("bag", "coat")
    assert sources(splits, "train") == ["a.png", "b.png"]
    assert (sources(splits, "val"), sources(splits, "test")) == (["c.png"], ["d.png"])
    assert splits.train.labels.tolist() == [1, 0]
    assert splits.val[0].image[0, 0].tolist() == [2, 0, 0]
    assert (splits.val[0].label, splits.val[0].box, splits.val[0].landmarks) == (1, None, None)


def test_labels_are_text_even_if_they_look_like_numbers(write: Callable[..., Path]) -> None:
    splits = load(write("path,label", *many(5, "10", "9", "07")))

    assert splits.class_names == ("07", "10", "9")


def test_splits_that_no_row_names_are_drawn_by_class_and_share(
    write: Callable[..., Path],
) -> None:
    table = write("path,label", *many(10, "bag", "coat"))

    splits, other = load(table), load(table, seed=1)

    assert [splits.counts(name).tolist() for name in splits.named()] == [[7, 7], [1, 1], [2, 2]]
    used = [path for name in splits.named() for path in sources(splits, name)]
    assert sorted(used) == sorted(line.partition(",")[0] for line in many(10, "bag", "coat"))
    assert sources(splits, "test") == sources(load(table), "test") != sources(other, "test")


def test_only_the_split_that_is_missing_is_drawn(write: Callable[..., Path]) -> None:
    lines = [f"{line},train" for line in many(10, "bag", "coat")]

    splits = load(write("path,label,split", *lines, "x.png,bag,test"))

    assert [splits.counts(name).tolist() for name in splits.named()] == [[9, 9], [1, 1], [1, 0]]


def test_an_empty_split_column_has_the_splits_drawn(write: Callable[..., Path]) -> None:
    lines = [f"{line},val" for line in many(10, "bag", "coat")]

    splits = load(write("path,label,split", *lines), split_column="")

    assert splits.counts("train").tolist() == [7, 7]


def test_rows_of_one_image_are_drawn_together(write: Callable[..., Path]) -> None:
    lines = [f"{n}.png,{label},0,0,{x},5" for n in range(20) for x, label in ((3, "a"), (4, "b"))]

    splits = load(write("path,label,left,top,right,bottom", *lines))

    images = [{path.split()[0] for path in sources(splits, name)} for name in splits.named()]
    assert all(images)
    assert sum(map(len, images)) == len(set.union(*images)) == 20


def test_a_box_is_read_from_four_columns_or_one(write: Callable[..., Path]) -> None:
    four = load(
        write("path,label,left,top,right,bottom", "a.png,x,1,2,3.5,4", "b.png,y,,,,"),
        val_share=0,
        test_share=0,
    )
    one = load(
        write("path,label,box", 'a.png,x,"[1, 2, 3.5, 4]"', "b.png,y,"), val_share=0, test_share=0
    )

    for splits in (four, one):
        assert [splits.train[index].box for index in range(2)] == [(1, 2, 3.5, 4), None]
        assert sources(splits, "train") == ["a.png [1, 2, 3.5, 4]", "b.png"]


def test_a_box_can_be_given_by_its_size_and_under_other_names(write: Callable[..., Path]) -> None:
    table = write("path,label,x,y,w,h", "a.png,x,1,2,3,4", "b.png,y,0,0,1,1")

    splits = load(
        table, box_columns=("x", "y", "w", "h"), box_format="size", val_share=0, test_share=0
    )

    assert splits.train[0].box == (1, 2, 4, 6)


def test_landmarks_come_from_columns_by_their_endings(write: Callable[..., Path]) -> None:
    table = write(
        "path,label,left_hem_x,left_hem_y,left_hem_v,right_hem_x,right_hem_y,right_hem_v",
        "a.png,x,1,2,visible,3.5,4,2",
        "b.png,y,,,absent,5,6,",
    )

    splits = load(table, val_share=0, test_share=0)

    assert splits.landmark_names == ("left_hem", "right_hem")
    assert splits.mirrored_landmarks == ((0, 1),)
    np.testing.assert_array_equal(
        [splits.train[index].landmarks for index in range(2)],
        [
            [(1, 2, Visibility.VISIBLE), (3.5, 4, Visibility.OCCLUDED)],
            [(0, 0, Visibility.ABSENT), (5, 6, Visibility.VISIBLE)],
        ],
    )


def test_landmarks_can_be_ignored(write: Callable[..., Path]) -> None:
    table = write("path,label,hem_x,hem_y", "a.png,x,1,2", "b.png,y,3,4")

    splits = load(table, landmarks=False, val_share=0, test_share=0)

    assert splits.landmark_names == ()
    assert splits.train[0].landmarks is None


def test_splits_survive_pickling(write: Callable[..., Path]) -> None:
    split = load(write("path,label", *many(5, "bag", "coat"))).train

    restored = pickle.loads(pickle.dumps(split))

    np.testing.assert_array_equal(restored[1].image, split[1].image)
    assert restored.source(1) == split.source(1)


def test_paths_are_relative_to_the_root(write: Callable[..., Path], tmp_path: Path) -> None:
    table = write("path,label", *many(5, "bag", "coat")).rename(tmp_path / "bag" / "list.csv")

    splits = load(table, root=str(tmp_path))

    assert len(splits.train[0].image) == 6


@pytest.mark.parametrize("path", ["../x.png", "/etc/x.png", "bag/../../x.png", "C:/x.png"])
def test_a_path_that_leaves_the_root_is_refused(write: Callable[..., Path], path: str) -> None:
    table = write("path,label", *many(5, "bag", "coat"))
    table.write_text(table.read_text() + f"{path},bag\n")

    splits = load(table, max_unreadable_share=1)

    assert dict(splits.skipped) == {
        "labels.csv line 12": f"The path '{path}' leaves data.root. Expected one relative to it. "
        f"Set data.root, or data.allow_outside_root = true if you trust the table."
    }


def test_a_path_may_leave_the_root_if_that_is_allowed(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "lists").mkdir()
    table = write("path,label", *many(5, "bag", "coat"))
    lines = [f"../bag/{n}.png,bag\n{tmp_path}/coat/{n}.png,coat\n" for n in range(5)]
    table.write_text("path,label\n" + "".join(lines))

    splits = load(table.rename(tmp_path / "lists" / "labels.csv"), allow_outside_root=True)

    assert sum(len(split.labels) for split in splits.named().values()) == 10
    assert len(splits.train[0].image) == 6


def test_a_link_to_elsewhere_may_stand_below_the_root(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    table = write("path,label", *many(5, "bag", "coat"))
    (tmp_path / "coat").rename(tmp_path / "elsewhere")
    (tmp_path / "coat").symlink_to(tmp_path / "elsewhere")

    assert load(table).counts("train").tolist() == [3, 3]


def test_each_unusable_row_is_listed_with_its_line_and_reason(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    table = write(
        "path,label,split,left,top,right,bottom",
        *(f"{line},train,0,0,5,5" for line in many(5, "bag", "coat")),
        "x1.png,,train,0,0,5,5",
        "x2.png,bag,training,0,0,5,5",
        "x3.png,bag,train,0,0,five,5",
        "x4.png,bag,train,5,0,5,5",
        "x5.png,bag,train,5",
        "x6.png,bag,train,0,0,5,5",
        "x7.png,bag,train,0,0,5,5",
        "x8/x8.png,bag,train,0,0,5,5",
    )
    (tmp_path / "x6.png").unlink()
    (tmp_path / "x7.png").write_bytes(b"")
    (tmp_path / "x8").rename(tmp_path / "x9")

    skipped = load(table, max_unreadable_share=0.5).skipped

    assert [(place.removeprefix("labels.csv "), reason) for place, reason in skipped.items()] == [
        ("line 12", "The label is empty. Expected the name of a class."),
        ("line 13", "The split is 'training'. Expected one of: train, val, test."),
        (
            "line 14",
            "The box is '0 0 five 5'. Expected four numbers that span an area, or none.",
        ),
        ("line 15", "The box is '5 0 5 5'. Expected four numbers that span an area, or none."),
        ("line 16", "The line has 4 cells. Expected 7, as the header."),
        ("line 17", "'x6.png': There is no such file. Expected it below data.root."),
        ("line 18", "'x7.png': The file is empty (0 bytes). Expected an image."),
        (
            "line 19",
            "'x8/x8.png': Its folder is not there or cannot be listed. Expected it below "
            "data.root.",
        ),
    ]


def test_too_many_unusable_rows_are_an_error(write: Callable[..., Path], tmp_path: Path) -> None:
    table = write("path,label", *many(5, "bag", "coat"))
    (tmp_path / "coat" / "2.png").unlink()

    with pytest.raises(DataError) as caught:
        load(table, max_unreadable_share=0.05)

    assert str(caught.value) == (
        f"1 of 10 rows cannot be used, with images below '{tmp_path}'. Expected at most a share of "
        f"0.05. Correct the table or data.root, or raise data.max_unreadable_share. The first of "
        f"them:\nline 9: 'coat/2.png': There is no such file. Expected it below data.root."
    )


def test_one_image_under_two_labels_or_in_two_splits_is_left_out(
    write: Callable[..., Path],
) -> None:
    lines = [f"{line},train" for line in many(5, "bag", "coat")]

    splits = load(
        write(
            "path,label,split",
            *lines,
            *("a.png,bag,train", "./a.png,coat,train", "b.png,bag,train", "b.png,bag,test"),
            "c.png,bag,test",
        ),
        max_unreadable_share=0.5,
        val_share=0,
    )

    assert splits.counts("train").tolist() == [5, 5]
    assert splits.counts("test").tolist() == [1, 0]
    assert list(splits.skipped.values()) == [
        "'a.png': The image has the labels 'bag' and 'coat'. Expected one.",
        "'a.png': The image has the labels 'bag' and 'coat'. Expected one.",
        "'b.png': The image is in the splits train and test. Expected one.",
        "'b.png': The image is in the splits train and test. Expected one.",
    ]


def test_two_boxes_of_one_image_may_have_two_labels(write: Callable[..., Path]) -> None:
    table = write("path,label,box", "a.png,bag,0 0 3 3", "a.png,coat,1 1 3 3")

    splits = load(table, val_share=0, test_share=0)

    assert splits.counts("train").tolist() == [1, 1]


def test_a_class_without_a_usable_training_row_is_left_out_and_reported(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    table = write("path,label", *many(5, "bag", "coat"), "hat.png,hat")
    (tmp_path / "hat.png").unlink()

    splits = load(table, max_unreadable_share=0.5)

    assert splits.class_names == ("bag", "coat")
    assert splits.skipped["class hat"] == ("The class has no usable training row and was left out.")


def test_a_class_that_train_lacks_is_named(write: Callable[..., Path]) -> None:
    table = write("path,label,split", "a.png,a,train", "b.png,b,train", "c.png,c,val")

    with pytest.raises(DataError, match=r"Classes of val without a training row: c\. Expected"):
        load(table)


def test_one_class_is_not_enough(write: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"have 1 class\(es\): bag\. Expected at least 2"):
        load(write("path,label", *many(5, "bag")))


def test_a_share_that_draws_nothing_is_an_error(write: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"val_share = 0.1 draws no val image at all"):
        load(write("path,label", *many(2, "bag", "coat")), test_share=0)


def test_the_digest_follows_rows_seed_and_file_sizes(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    table = write("path,label", *many(10, "bag", "coat"))
    first, again, other_seed = load(table), load(table), load(table, seed=1)
    table.write_text(table.read_text().replace("bag/3.png,bag", "bag/3.png,coat"))
    relabelled = load(table)
    (tmp_path / "bag" / "0.png").write_bytes(b"longer" * 100)
    resized = load(table)

    digests = [one.digest for one in (first, again, other_seed, relabelled, resized)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_no_image_is_decoded_when_the_table_is_opened(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    table = write("path,label", *many(5, "bag", "coat"))
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"no image")

    split = load(table).train

    with pytest.raises(DataError, match="is no image of a known kind"):
        split[0]


def test_a_missing_setting_and_a_missing_file_are_told() -> None:
    with pytest.raises(ConfigError, match=r"^data\.file is empty\. Expected a \.csv"):
        TableDataset(TableConfig(), seed=0).load()
    with pytest.raises(DataError, match=r"^'nowhere\.csv' is no file\. Expected a table"):
        load(Path("nowhere.csv"))


def test_a_table_without_rows_is_told(write: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="has a header and no row"):
        load(write("path,label"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_share": 0.5, "test_share": 0.5}, "leave nothing to train with"),
        ({"box_columns": ("a", "b")}, "box_columns names 2 columns. Expected four, one"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        TableConfig(**options)
