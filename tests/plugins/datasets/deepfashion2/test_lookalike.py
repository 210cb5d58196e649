import json
from pathlib import Path

import numpy as np
import pytest

from fdmo_core import ConfigError, Splits, Visibility
from fdmo_plugins.datasets.deepfashion2.categories import CATEGORIES
from fdmo_plugins.datasets.deepfashion2.dataset import DeepFashion2Config, DeepFashion2Dataset
from fdmo_plugins.datasets.deepfashion2.lookalike import LOOKS, write_files

NUM_IMAGES = 60


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    write_files(folder, num_images=NUM_IMAGES, seed=3)
    return folder


def load(root: Path) -> Splits:
    config = DeepFashion2Config(root=str(root), landmark_slots=294, max_unreadable_share=0)
    return DeepFashion2Dataset(config, seed=0).load()


def test_it_opens_without_a_fault_and_has_the_number_asked_for(written: Path) -> None:
    splits = load(written)

    assert all(place.startswith("category ") for place in splits.skipped)
    assert len(list(written.glob("*/image/*.jpg"))) == NUM_IMAGES
    assert all(splits.counts(name).sum() for name in splits.named())


def test_it_has_a_long_tail(written: Path) -> None:
    counts = load(written).counts("train")

    assert counts.min() >= 2
    assert counts.max() >= 5 * counts.min()


def test_some_images_have_two_items_and_some_pairs_two_images(written: Path) -> None:
    annotations = [json.loads(file.read_text()) for file in written.glob("train/annos/*.json")]

    assert any("item2" in one for one in annotations)
    pair_ids = [one["pair_id"] for one in annotations]
    assert len(set(pair_ids)) < len(pair_ids)


def test_items_have_the_keys_and_landmarks_of_the_released_files(written: Path) -> None:
    item = json.loads((written / "train/annos/000001.json").read_text())["item1"]

    assert set(item) == {
        "segmentation", "scale", "viewpoint", "zoom_in", "landmarks", "style", "bounding_box",
        "category_id", "occlusion", "category_name",
    }  # fmt: skip
    assert len(item["landmarks"]) == 3 * CATEGORIES[item["category_id"] - 1].num_landmarks


def test_some_items_have_no_labelled_landmark_and_some_are_hidden(written: Path) -> None:
    splits = load(written)
    marks = [
        split[at].landmarks for split in splits.named().values() for at in range(len(split.labels))
    ]
    visibilities = [one[:, 2] for one in marks if one is not None]

    assert any(not one.any() for one in visibilities)
    assert {*np.concatenate(visibilities)} == {
        Visibility.ABSENT, Visibility.OCCLUDED, Visibility.VISIBLE
    }  # fmt: skip


def test_mirrored_landmarks_are_on_two_sides_of_their_garment(written: Path) -> None:
    splits = load(written)
    sides = []
    for at in range(len(splits.train.labels)):
        landmarks = splits.train[at].landmarks
        assert landmarks is not None
        sides += [
            np.sign(landmarks[left, 0] - landmarks[right, 0])
            for left, right in splits.mirrored_landmarks
            if landmarks[left, 2] and landmarks[right, 2]
        ]

    assert np.mean(np.array(sides) < 0) > 0.95


def test_every_category_has_a_look_of_its_own() -> None:
    assert len(set(LOOKS)) == len(LOOKS) == len(CATEGORIES)


def test_the_seed_decides_the_pixels(written: Path, tmp_path: Path) -> None:
    write_files(tmp_path, num_images=12, seed=4)

    assert not np.array_equal(load(tmp_path).train[0].image, load(written).train[0].image)


def test_too_few_images_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Expected at least 12\. Ask for more\."):
        DeepFashion2Dataset.write_lookalike(tmp_path, num_images=5, seed=0)
