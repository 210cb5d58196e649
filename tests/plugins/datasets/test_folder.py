import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from fdmo_core import ConfigError, DataError, Splits
from fdmo_plugins.datasets.folder import FolderConfig, FolderDataset


def write_images(folder: Path, **counts: int) -> Path:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            colour = (number, len(name), 0)
            Image.new("RGB", (5, 4), colour).save(folder / name / f"{number:03}.png")
    return folder


def load(root: Path, seed: int = 0, **options: Any) -> Splits:
    return FolderDataset(FolderConfig(root=str(root), **options), seed=seed).load()


def sources(splits: Splits, name: str) -> list[str]:
    split = splits.named()[name]
    return [split.source(index) for index in range(len(split.labels))]


def test_each_class_is_split_by_its_shares(tmp_path: Path) -> None:
    write_images(tmp_path, coat=20, bag=10, dress=1)

    splits = load(tmp_path)

    assert splits.class_names == ("bag", "coat", "dress")
    assert splits.counts("train").tolist() == [7, 14, 1]
    assert splits.counts("val").tolist() == [1, 2, 0]
    assert splits.counts("test").tolist() == [2, 4, 0]


def test_every_image_is_in_exactly_one_split(tmp_path: Path) -> None:
    write_images(tmp_path, coat=20, bag=11)

    splits = load(tmp_path)

    used = [path for name in splits.named() for path in sources(splits, name)]
    assert sorted(used) == sorted(
        [f"coat/{n:03}.png" for n in range(20)] + [f"bag/{n:03}.png" for n in range(11)]
    )


def test_the_seed_draws_the_splits_of_each_class_apart(tmp_path: Path) -> None:
    write_images(tmp_path, coat=20, bag=20)
    before, other = load(tmp_path), load(tmp_path, seed=1)
    write_images(tmp_path, apron=20)

    after = load(tmp_path)

    assert sources(before, "test") != sources(other, "test")
    assert [path.split("/")[1] for path in sources(before, "test")[:4]] != [
        path.split("/")[1] for path in sources(before, "test")[4:]
    ]
    assert sources(before, "test") == sources(after, "test")[4:]
    assert load(tmp_path).digest == after.digest != load(tmp_path, seed=1).digest


def test_samples_are_read_from_their_files(tmp_path: Path) -> None:
    write_images(tmp_path, coat=9, trousers=9)

    split = load(tmp_path).train

    for index, label in enumerate(split.labels):
        number = int(Path(split.source(index)).stem)
        assert split[index].label == label
        np.testing.assert_array_equal(
            split[index].image, np.full((4, 5, 3), (number, (4, 8)[label], 0))
        )


def test_splits_survive_pickling(tmp_path: Path) -> None:
    split = load(write_images(tmp_path, coat=9, bag=9)).train

    restored = pickle.loads(pickle.dumps(split))

    np.testing.assert_array_equal(restored[0].image, split[0].image)


def test_a_class_missing_from_val_or_test_shifts_no_label(tmp_path: Path) -> None:
    write_images(tmp_path / "train", apron=1, bag=2, coat=3)
    write_images(tmp_path / "val", coat=2, kimono=0)
    write_images(tmp_path / "test", apron=0, bag=1, coat=1)

    splits = load(tmp_path)

    assert splits.class_names == ("apron", "bag", "coat")
    assert splits.counts("val").tolist() == [0, 0, 2]
    assert splits.counts("test").tolist() == [0, 1, 1]
    assert splits.counts("train").tolist() == [1, 2, 3]


def test_a_split_without_a_folder_is_drawn_from_train(tmp_path: Path) -> None:
    write_images(tmp_path / "train", bag=10, coat=10)
    write_images(tmp_path / "test", bag=4, coat=5)

    splits = load(tmp_path)

    assert splits.counts("train").tolist() == [9, 9]
    assert splits.counts("val").tolist() == [1, 1]
    assert splits.counts("test").tolist() == [4, 5]


def test_a_class_that_train_lacks_is_named(tmp_path: Path) -> None:
    write_images(tmp_path / "train", bag=2, coat=2)
    write_images(tmp_path / "val", bag=2, kimono=1, coatt=1)

    with pytest.raises(DataError) as caught:
        load(tmp_path)

    assert str(caught.value) == (
        "Classes of val/ without a training image: coatt, kimono. Expected every class of val/ in "
        "train/, under the same name. Add training images, correct the name, or remove the folder."
    )


def test_an_empty_class_folder_is_left_out_and_reported(tmp_path: Path) -> None:
    write_images(tmp_path, apron=0, bag=10, coat=10)

    splits = load(tmp_path)

    assert splits.class_names == ("bag", "coat")
    assert dict(splits.skipped) == {
        "apron/": "The class has no readable training image and was left out."
    }


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    write_images(tmp_path, apron=0, bag=10)

    with pytest.raises(DataError, match=r"have 1 class\(es\): bag\. Expected at least 2 class fol"):
        load(tmp_path)


def test_unreadable_images_are_left_out_and_reported(tmp_path: Path) -> None:
    write_images(tmp_path, bag=10, coat=10)
    (tmp_path / "bag" / "003.png").write_bytes(b"")

    splits = load(tmp_path, max_unreadable_share=0.05)

    assert "bag/003.png" not in [path for name in splits.named() for path in sources(splits, name)]
    assert dict(splits.skipped) == {
        "bag/003.png": "The image is empty (0 bytes). Expected an image file. "
        "Replace or delete the file."
    }
    with pytest.raises(DataError, match=r"^1 of 20 images cannot be read\. Expected at most a sha"):
        load(tmp_path, max_unreadable_share=0.04)


def test_too_many_unreadable_images_stop_the_run(tmp_path: Path) -> None:
    write_images(tmp_path, bag=10, coat=10)
    for number in range(7):
        (tmp_path / "bag" / f"{number:03}.png").write_bytes(b"")

    with pytest.raises(DataError) as caught:
        load(tmp_path)

    summary, *named = str(caught.value).splitlines()
    assert summary == (
        "7 of 20 images cannot be read. Expected at most a share of 0.01. Repair or delete them, "
        "or raise data.max_unreadable_share. The first of them:"
    )
    assert [line.split(":")[0] for line in named] == [f"bag/00{number}.png" for number in range(5)]


def test_a_share_that_draws_nothing_is_an_error(tmp_path: Path) -> None:
    write_images(tmp_path, bag=3, coat=4)

    with pytest.raises(DataError, match=r"data\.val_share = 0\.1 draws no val image at all: the "):
        load(tmp_path)
    assert load(tmp_path, val_share=0).counts("val").sum() == 0


def test_shares_leave_something_to_train_with() -> None:
    with pytest.raises(ValidationError, match=r"val_share 0\.5 and test_share 0\.5 leave nothing"):
        FolderConfig(val_share=0.5, test_share=0.5)


def test_a_folder_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="pass '--data FOLDER'"):
        FolderDataset(FolderConfig(), seed=0).load()


def test_the_digest_depends_on_every_byte(tmp_path: Path) -> None:
    write_images(tmp_path, bag=10, coat=10)
    before = load(tmp_path).digest
    Image.new("RGB", (5, 4), "red").save(tmp_path / "coat" / "004.png")

    assert load(tmp_path).digest != before


def test_classes_that_differ_only_by_case_are_two(tmp_path: Path) -> None:
    (tmp_path / "probe").mkdir()
    if (tmp_path / "PROBE").exists():
        pytest.skip("this file system takes both names for one")
    (tmp_path / "probe").rmdir()
    write_images(tmp_path, Coat=10, coat=5)

    splits = load(tmp_path)

    assert splits.class_names == ("Coat", "coat")
    counts = np.stack([splits.counts(name) for name in splits.named()])
    assert counts.sum(axis=0).tolist() == [10, 5]


@pytest.mark.parametrize("name", ["new\nline", "a \"b\" 'c'", "🦜", "x" * 251, "$(touch y)", "-rf"])
def test_images_may_have_any_name_that_the_system_takes(tmp_path: Path, name: str) -> None:
    write_images(tmp_path, coat=3, bag=1)
    Image.new("RGB", (5, 4)).save(tmp_path / "coat" / "z.png")
    (tmp_path / "coat" / "z.png").rename(tmp_path / "coat" / f"{name}.png")

    splits = load(tmp_path, val_share=0, test_share=0)

    assert f"coat/{name}.png" in sources(splits, "train")
    assert all(splits.train[row].image.shape == (4, 5, 3) for row in range(5))
