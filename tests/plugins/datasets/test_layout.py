import os
from pathlib import Path

import pytest

from fdmo_core import ConfigError, DataError
from fdmo_plugins.datasets.layout import existing_root, image_listing, printable


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def test_class_folders_alone_are_training_images(tmp_path: Path) -> None:
    touch(tmp_path, "coat/2.jpg", "coat/1.PNG", "coat/deep/er/3.webp", "bag/x.tiff")

    assert image_listing(tmp_path) == {
        "train": {
            "bag": ["bag/x.tiff"],
            "coat": ["coat/1.PNG", "coat/2.jpg", "coat/deep/er/3.webp"],
        }
    }


def test_folders_of_splits_are_listed_apart(tmp_path: Path) -> None:
    touch(tmp_path, "train/coat/1.jpg", "test/coat/2.gif")

    assert image_listing(tmp_path) == {
        "train": {"coat": ["train/coat/1.jpg"]},
        "test": {"coat": ["test/coat/2.gif"]},
    }


def test_hidden_files_and_other_files_are_ignored(tmp_path: Path) -> None:
    touch(tmp_path, "coat/1.jpg", "coat/._1.jpg", "coat/.cache/2.jpg", ".git/3.jpg", "coat/a.txt")

    assert image_listing(tmp_path) == {"train": {"coat": ["coat/1.jpg"]}}


def test_an_empty_class_folder_is_listed_without_images(tmp_path: Path) -> None:
    touch(tmp_path, "coat/1.jpg", "kimono/notes.txt")

    assert image_listing(tmp_path)["train"]["kimono"] == []


def test_links_to_class_folders_are_followed(tmp_path: Path) -> None:
    elsewhere = touch(tmp_path, "elsewhere/1.jpg") / "elsewhere"
    root = tmp_path / "root"
    root.mkdir()
    (root / "coat").symlink_to(elsewhere)

    assert image_listing(root) == {"train": {"coat": ["coat/1.jpg"]}}


def test_a_link_to_the_folder_above_ends(tmp_path: Path) -> None:
    touch(tmp_path, "coat/1.jpg")
    (tmp_path / "coat" / "loop").symlink_to(tmp_path / "coat")

    assert image_listing(tmp_path) == {"train": {"coat": ["coat/1.jpg"]}}


def test_odd_names_are_kept(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9 #1\n.jpg")
    touch(tmp_path, f"robe d'\u00e9t\u00e9/{odd}")

    assert image_listing(tmp_path) == {
        "train": {"robe d'\u00e9t\u00e9": [f"robe d'\u00e9t\u00e9/{odd}"]}
    }
    assert printable(odd) == "caf\\xe9 #1\n.jpg"


def test_no_root_says_how_to_give_one() -> None:
    with pytest.raises(ConfigError) as caught:
        existing_root("")

    assert str(caught.value) == (
        "data.root is empty. Expected the folder with your images. Set data.root, or pass "
        "'--data FOLDER'."
    )


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"/none' is no folder\. Expected .* Correct data\.root\."):
        existing_root(str(tmp_path / "none"))


@pytest.mark.parametrize("paths", [[], ["1.jpg"], ["coat/notes.txt"], [".hidden/1.jpg"]])
def test_a_root_without_classes_says_what_belongs_there(tmp_path: Path, paths: list[str]) -> None:
    touch(tmp_path, *paths)

    with pytest.raises(DataError, match=r"and no image in them\. Expected one folder a class"):
        image_listing(tmp_path)


@pytest.mark.parametrize("stray", ["validation/coat/2.jpg", "bag/2.jpg"])
def test_other_folders_beside_train_are_refused(tmp_path: Path, stray: str) -> None:
    touch(tmp_path, "train/coat/1.jpg", stray)

    with pytest.raises(DataError, match=r"has the folders .*train.* Expected either class folders"):
        image_listing(tmp_path)


def test_a_split_without_train_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "test/coat/1.jpg")

    with pytest.raises(DataError, match=r"has the folders test\. Expected either class folders "):
        image_listing(tmp_path)


def test_an_empty_folder_of_a_split_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "train/coat/1.jpg").joinpath("val").mkdir()

    with pytest.raises(DataError, match=r"/val' has 0 class folder\(s\) and no image in them"):
        image_listing(tmp_path)
