from pathlib import Path

import numpy as np
import pytest

from fdmo_core import ConfigError, Splits, Visibility
from fdmo_plugins.datasets.deepfashion.categories import CATEGORIES
from fdmo_plugins.datasets.deepfashion.dataset import DeepFashionConfig, DeepFashionDataset
from fdmo_plugins.datasets.deepfashion.lookalike import _looks, write_files

NUM_IMAGES = 40


def load(root: Path) -> Splits:
    config = DeepFashionConfig(root=str(root), max_unreadable_share=0)
    return DeepFashionDataset(config, seed=0).load()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    write_files(folder, num_images=NUM_IMAGES, seed=3)
    return folder


def test_it_opens_without_a_fault_and_has_the_number_asked_for(written: Path) -> None:
    splits = load(written)

    assert all(place.startswith("category ") for place in splits.skipped)
    assert sum(splits.counts(name).sum() for name in splits.named()) == NUM_IMAGES


def test_it_has_a_long_tail_over_all_splits(written: Path) -> None:
    splits = load(written)

    counts = splits.counts("train")
    assert counts.min() >= 2
    assert counts.max() >= 5 * counts.min()
    assert splits.counts("val").sum() > 0
    assert splits.counts("test").sum() > 0


def test_all_fifty_categories_are_listed(written: Path) -> None:
    lines = (written / "Anno_coarse" / "list_category_cloth.txt").read_text().splitlines()

    assert lines[:2] == ["50", "category_name  category_type"]
    assert [line.split() for line in lines[2:]] == [
        [one.name, str(one.clothes_type)] for one in CATEGORIES
    ]


def test_rows_are_padded_as_in_the_released_lists(written: Path) -> None:
    lines = (written / "Anno_coarse" / "list_bbox.txt").read_text().splitlines()

    assert lines[0] == str(NUM_IMAGES)
    assert all(len(cell) == 3 for line in lines[2:] for cell in line.split()[1:])


def test_some_listed_folders_are_written_in_another_case(written: Path) -> None:
    listed = (written / "Anno_coarse" / "list_bbox.txt").read_text()

    assert "A-Line" in listed
    assert not list((written / "Img" / "img").glob("A-Line*"))
    assert list((written / "Img" / "img").glob("A-line*"))


def test_some_images_show_no_landmark_and_some_garments_are_hidden(written: Path) -> None:
    splits = load(written)
    marks = [
        split[at].landmarks for split in splits.named().values() for at in range(len(split.labels))
    ]
    seen = [one[one[:, 2] > Visibility.ABSENT, 2] for one in marks if one is not None]

    assert any((of_image == Visibility.TRUNCATED).all() for of_image in seen)
    assert {*np.concatenate(seen)} == {1, 2, 3}


def test_both_layouts_and_rows_hold_the_same(written: Path, tmp_path: Path) -> None:
    write_files(tmp_path, num_images=NUM_IMAGES, seed=3, layout="old", has_variation_type=True)

    new, old = load(written), load(tmp_path)

    assert (tmp_path / "Anno").is_dir()
    assert (tmp_path / "img").is_dir()
    assert old.class_names == new.class_names
    np.testing.assert_array_equal(old.train[1].image, new.train[1].image)
    np.testing.assert_array_equal(old.train[1].landmarks, new.train[1].landmarks)


def test_the_seed_decides_the_pixels(written: Path, tmp_path: Path) -> None:
    write_files(tmp_path, num_images=12, seed=4)

    assert not np.array_equal(load(tmp_path).train[0].image, load(written).train[0].image)


def test_every_category_with_images_has_a_look_of_its_own() -> None:
    by_id = dict(_looks())

    assert set(by_id) == {at for at, one in enumerate(CATEGORIES, 1) if one.num_images}
    assert len(set(by_id.values())) == len(by_id)


def test_too_few_images_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Expected at least 12\. Ask for more\."):
        DeepFashionDataset.write_lookalike(tmp_path, num_images=5, seed=0)
