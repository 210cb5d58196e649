import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fdmo_core import ConfigError, DataError, Splits, Visibility
from fdmo_core.testing import Check, checks_for
from fdmo_plugins.datasets.deepfashion2.dataset import DeepFashion2Config, DeepFashion2Dataset


def skirt(**change: Any) -> dict[str, Any]:
    landmarks = [5, 6, 2, 7, 8, 1, 0, 0, 0] + [9, 9, 2] * 5
    return {"category_id": 9, "bounding_box": [1, 2, 20, 18], "landmarks": landmarks, **change}


def shorts(**change: Any) -> dict[str, Any]:
    return {"category_id": 7, "bounding_box": [3, 0, 9, 9], "landmarks": [0] * 30, **change}


def write(root: Path, folder: str, number: int, pair_id: int, **items: Any) -> Path:
    """Write one image with its annotation and return the path of the latter."""
    for part in ("image", "annos"):
        (root / folder / part).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (22, 20), (number, 0, 0)).save(root / folder / f"image/{number:06}.jpg")
    file = root / folder / f"annos/{number:06}.json"
    file.write_text(json.dumps({"source": "shop", "pair_id": pair_id, **items}), encoding="utf-8")
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two training images of one pair, two others, and a validation image."""
    write(tmp_path, "train", 1, 5, item1=skirt(), item2=shorts())
    write(tmp_path, "train", 2, 5, item1=skirt())
    write(tmp_path, "train", 3, 6, item1=skirt(), item3=shorts())
    write(tmp_path, "train", 4, 7, item1=shorts())
    write(tmp_path, "validation", 1, 5, item1=skirt())
    return tmp_path


def load(root: Path, **options: Any) -> Splits:
    config = DeepFashion2Config(root=str(root), **{"val_share": 0, **options})
    return DeepFashion2Dataset(config, seed=0).load()


def sources(splits: Splits, name: str = "train") -> list[str]:
    split = splits.named()[name]
    return [split.source(at) for at in range(len(split.labels))]


def faults(splits: Splits) -> dict[str, str]:
    return {at: why for at, why in splits.skipped.items() if not at.startswith("category ")}


def test_every_item_is_a_sample_with_its_own_box(root: Path) -> None:
    splits = load(root)

    assert splits.class_names == ("shorts", "skirt")
    assert sources(splits)[:2] == ["train/image/000001.jpg item1", "train/image/000001.jpg item2"]
    assert splits.train.labels.tolist() == [1, 0, 1, 1, 0, 0]
    assert splits.train[1].box == (3.0, 0.0, 9.0, 9.0)
    np.testing.assert_array_equal(splits.train[0].image, splits.train[1].image)


def test_the_validation_folder_is_the_test_split(root: Path) -> None:
    assert sources(load(root), "test") == ["validation/image/000001.jpg item1"]


def test_a_validation_split_is_drawn_by_pairs(root: Path) -> None:
    splits = load(root, val_share=0.4)

    val = {source.split(" ")[0] for source in sources(splits, "val")}
    assert val
    assert not val & {source.split(" ")[0] for source in sources(splits)}
    assert len(val & {"train/image/000001.jpg", "train/image/000002.jpg"}) != 1


def test_a_share_that_draws_nothing_is_an_error(root: Path) -> None:
    with pytest.raises(
        DataError, match=r"val_share = 0\.01 draws no val image at all from 6 train"
    ):
        load(root, val_share=0.01)


def test_landmarks_stand_by_their_position_in_the_category(root: Path) -> None:
    splits = load(root)
    first, second = splits.train[0].landmarks, splits.train[1].landmarks

    assert first is not None
    assert first.shape == (39, 3)
    assert first[:3].tolist() == [[5, 6, Visibility.VISIBLE], [7, 8, Visibility.OCCLUDED], [0] * 3]
    assert not first[8:].any()
    assert second is not None
    assert not second.any()
    assert splits.mirrored_landmarks == ()


def test_landmarks_can_have_slots_of_their_own(root: Path) -> None:
    splits = load(root, landmark_slots=294)
    first = splits.train[0].landmarks

    assert first is not None
    assert first.shape == (294, 3)
    assert np.flatnonzero(first[:, 2]).tolist() == [182, 183, 185, 186, 187, 188, 189]
    assert (182, 184) in splits.mirrored_landmarks
    assert splits.landmark_names[182] == "skirt 1"


def test_other_numbers_of_slots_are_refused() -> None:
    with pytest.raises(ValueError, match="39 or 294"):
        DeepFashion2Config.model_validate({"landmark_slots": 40})


def test_categories_without_a_training_item_are_dropped_by_name(root: Path) -> None:
    write(root, "validation", 2, 9, item1=shorts(category_id=8, landmarks=[0] * 42))

    splits = load(root)

    assert len(splits.skipped) == 11
    assert splits.skipped["category trousers"].endswith("with its 1 image(s) of other splits.")
    assert len(sources(splits, "test")) == 1


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (skirt(category_id=14), "category_id is 14"),
        (skirt(bounding_box=[5, 5, 5, 9]), "The box is 5, 5, 5, 9. Expected left < right"),
        (skirt(bounding_box=[-9, 5, -2, 9]), "The box is -9, 5, -2, 9. Expected left < right"),
        (skirt(landmarks=[9000, 9, 2] * 8), "A landmark is at 9000, 9, far outside the box 1, 2"),
        (skirt(landmarks=[9]), "landmarks is [9] of 1. Expected 24 numbers."),
        ([], "The key is 'item1'."),
    ],
)
def test_an_item_with_a_fault_is_left_out_and_reported(item: Any, reason: str, root: Path) -> None:
    write(root, "train", 1, 5, item1=item, item2=shorts())

    splits = load(root, max_unreadable_share=0.15)

    assert list(faults(splits)) == ["train/annos/000001.json item1"]
    assert faults(splits)["train/annos/000001.json item1"].startswith(reason)
    assert sources(splits)[0] == "train/image/000001.jpg item2"
    with pytest.raises(DataError, match=r"of 7 images or items have 1 faults"):
        load(root)


def test_a_broken_file_leaves_out_its_image(root: Path) -> None:
    (root / "train/annos/000001.json").write_text('{"pair_id":')

    splits = load(root, max_unreadable_share=1)

    assert faults(splits)["train/annos/000001.json"].startswith("The file is broken (Expecting")
    assert sources(splits)[0] == "train/image/000002.jpg item1"


def test_images_and_annotations_without_each_other_are_reported(root: Path) -> None:
    (root / "train/annos/000001.json").unlink()
    (root / "validation/image/000001.jpg").unlink()
    (root / "train/image/000004.jpg").write_bytes(b"")

    splits = load(root, max_unreadable_share=1)

    assert faults(splits) == {
        "train/image/000001.jpg": "The image has no annotation. Expected one in annos/.",
        "train/annos/000004.json": "000004.jpg: The image is empty (0 bytes). Expected an image "
        "file.",
        "validation/annos/000001.json": "000001.jpg: There is no such image. Expected the file "
        "that the annotations list.",
    }


@pytest.mark.parametrize("folder", ["train/annos", "train/image", "validation"])
def test_a_missing_folder_is_an_error_that_says_what_is_expected(folder: str, root: Path) -> None:
    shutil.rmtree(root / folder)

    with pytest.raises(DataError, match=r"is not there or cannot be listed\. Expected train/image"):
        load(root)


def test_a_root_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^data\.root is empty\. Expected the folder with Deep"):
        DeepFashion2Dataset(DeepFashion2Config(), seed=0).load()
    with pytest.raises(
        DataError, match=r"is no folder\. Expected the one with DeepFashion2's train"
    ):
        load(tmp_path / "none")


def test_opening_decodes_no_image(root: Path) -> None:
    for file in root.glob("*/image/*.jpg"):
        file.write_bytes(b"no image")

    assert len(sources(load(root))) == 6


def test_the_digest_follows_annotations_sizes_and_slots(root: Path) -> None:
    digests = [load(root).digest, load(root, landmark_slots=294).digest]
    write(root, "train", 1, 5, item1=skirt(bounding_box=[1, 2, 20, 19]), item2=shorts())
    digests.append(load(root).digest)
    with (root / "train/image/000001.jpg").open("ab") as file:
        file.write(b"more")
    digests.append(load(root).digest)

    assert len(set(digests)) == 4


@pytest.fixture(scope="module")
def lookalike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lookalike")
    DeepFashion2Dataset.write_lookalike(folder, num_images=24, seed=0)
    return folder


@pytest.mark.parametrize("options", [{}, {"landmark_slots": 294, "val_share": 0.0}])
@pytest.mark.parametrize("check", checks_for("dataset"), ids=lambda check: check.__name__)
def test_keeps_to_the_contract_of_a_data_set(
    check: Check, options: dict[str, Any], lookalike: Path
) -> None:
    config = DeepFashion2Config.model_validate({"root": str(lookalike), **options})

    check(DeepFashion2Dataset, config)


def test_splits_survive_pickling(root: Path) -> None:
    split = load(root).train

    np.testing.assert_array_equal(pickle.loads(pickle.dumps(split))[2].image, split[2].image)
