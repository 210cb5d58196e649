import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fdmo_core import DataError, Splits, Visibility
from fdmo_core.testing import Check, checks_for
from fdmo_plugins.datasets.deepfashion.dataset import DeepFashionConfig, DeepFashionDataset

Load = Callable[..., Splits]
Change = Callable[[Path, str, int, str], None]

ABSENT, TRUNCATED, OCCLUDED, VISIBLE = (float(one) for one in Visibility)
TEE, SKIRT, DRESS = (f"img/Plain_{name}/img_00000001.jpg" for name in ("Tee", "Skirt", "Dress"))


def sources(splits: Splits) -> dict[str, list[str]]:
    return {
        name: [split.source(at) for at in range(len(split.labels))]
        for name, split in splits.named().items()
    }


def test_ids_count_from_one_and_the_partition_is_the_official_one(root: Path, load: Load) -> None:
    splits = load(root)

    assert splits.class_names == ("Tee", "Skirt")
    assert splits.train.labels.tolist() == [0, 1]
    assert sources(splits) == {"train": [TEE, SKIRT], "val": [], "test": []}


def test_a_sample_is_an_image_with_its_box(root: Path, load: Load) -> None:
    sample = load(root).train[0]

    assert sample.image.shape == (20, 22, 3)
    assert sample.box == (1.0, 2.0, 20.0, 18.0)
    assert sample.label == 0


def test_landmarks_of_each_clothes_type_go_into_their_slots(
    root: Path, load: Load, change: Change
) -> None:
    change(root, "Eval/list_eval_partition.txt", 5, f"{DRESS}  train")
    splits = load(root)
    tee, skirt, dress = (splits.train[at].landmarks for at in range(3))

    assert [name.split()[1] for name in splits.landmark_names[::2]] == [
        "collar", "sleeve", "waistline", "hem"
    ]  # fmt: skip
    assert tee is not None
    assert tee.tolist() == [
        [1, 2, VISIBLE], [3, 4, OCCLUDED], [0, 0, TRUNCATED], [7, 8, VISIBLE],
        [0, 0, ABSENT], [0, 0, ABSENT], [9, 10, VISIBLE], [11, 12, VISIBLE],
    ]  # fmt: skip
    assert skirt is not None
    assert skirt[:4].tolist() == [[0, 0, ABSENT]] * 4
    assert skirt[4:].tolist() == [
        [1, 2, VISIBLE], [3, 4, VISIBLE], [5, 6, VISIBLE], [7, 8, OCCLUDED]
    ]  # fmt: skip
    assert dress is not None
    assert dress.tolist() == [[0, 0, TRUNCATED]] * 8


def test_mirrored_landmarks_are_left_and_right(root: Path, load: Load) -> None:
    splits = load(root)

    for left, right in splits.mirrored_landmarks:
        assert splits.landmark_names[left].startswith("left ")
        assert splits.landmark_names[right] == splits.landmark_names[left].replace("left", "right")
    assert len(splits.mirrored_landmarks) == 4


def test_a_column_of_variation_types_changes_nothing(
    root: Path, load: Load, change: Change
) -> None:
    before = load(root).train[0].landmarks
    line = (root / "Anno/list_landmarks.txt").read_text().splitlines()[2]
    change(root, "Anno/list_landmarks.txt", 3, line.replace("jpg   1 ", "jpg   1 4 "))

    after = load(root)

    assert dict(after.skipped).keys() == load(root).skipped.keys()
    np.testing.assert_array_equal(after.train[0].landmarks, before)


def test_the_new_layout_gives_the_same_samples(root: Path, load: Load) -> None:
    before = load(root)
    image = before.train[1].image
    (root / "Anno").rename(root / "Anno_coarse")
    (root / "Img").mkdir()
    (root / "img").rename(root / "Img" / "img")

    after = load(root)

    assert sources(after)["train"] == [f"Img/{path}" for path in sources(before)["train"]]
    np.testing.assert_array_equal(after.train[1].image, image)


def test_folders_written_in_another_case_are_found(root: Path, load: Load) -> None:
    (root / "img" / "Plain_Tee").rename(root / "img" / "plain_tee")

    splits = load(root)

    assert sources(splits)["train"] == ["img/plain_tee/img_00000001.jpg", SKIRT]
    assert splits.train[0].label == 0


def test_two_rows_do_not_share_a_file_by_their_case(root: Path, load: Load, change: Change) -> None:
    shutil.rmtree(root / "img" / "Plain_Dress")
    dress = TEE.replace("Tee", "TEE")
    for name in ("Anno/list_category_img.txt", "Anno/list_bbox.txt", "Anno/list_landmarks.txt"):
        line = (root / name).read_text().splitlines()[4]
        change(root, name, 5, line.replace(DRESS, dress))
    change(root, "Eval/list_eval_partition.txt", 5, f"{dress} test")

    splits = load(root, max_unreadable_share=1)

    assert splits.skipped["Anno/list_category_img.txt line 5"] == (
        f"Image '{dress}': Its file is that of '{TEE}'."
    )
    assert sources(splits) == {"train": [TEE, SKIRT], "val": [], "test": []}


def test_categories_without_training_images_are_dropped_by_name(root: Path, load: Load) -> None:
    skipped = load(root).skipped

    assert len(skipped) == 48
    assert skipped["category Cape"] == (
        "The category has no usable training image and was left out."
    )
    assert skipped["category Dress"].endswith("left out, with its 1 image(s) of other splits.")


def test_all_fifty_categories_can_be_kept(root: Path, load: Load) -> None:
    splits = load(root, keep_empty_categories=True)

    assert len(splits.class_names) == 50
    assert splits.class_names[17] == "Tee"
    assert splits.train.labels.tolist() == [17, 32]
    assert splits.test.labels.tolist() == [40]
    assert splits.keeps_empty_classes
    assert not load(root).keeps_empty_classes
    assert not splits.skipped


def test_a_box_outside_its_image_is_told_when_it_is_read(
    root: Path, load: Load, change: Change
) -> None:
    change(root, "Anno/list_bbox.txt", 3, f"{TEE} 500 2 600 9")
    change(root, "Anno/list_landmarks.txt", 3, f"{TEE} 1" + " 2 0 0" * 6)

    split = load(root).train

    with pytest.raises(DataError, match=rf"of '{TEE}' lies outside its image of 22 x 20 pixels"):
        split[0]


def test_the_digest_follows_lists_and_sizes_of_files(
    root: Path, load: Load, change: Change
) -> None:
    digests = [load(root).digest]
    change(root, "Anno/list_bbox.txt", 3, f"{TEE} 2 2 20 18")
    digests.append(load(root).digest)
    change(root, "Anno/list_landmarks.txt", 3, f"{TEE} 1" + " 0 1 2" * 6)
    digests.append(load(root).digest)
    with (root / TEE).open("ab") as file:
        file.write(b"more")
    digests.append(load(root).digest)

    assert len(set(digests)) == 4


def test_opening_decodes_no_image(root: Path, load: Load) -> None:
    for path in (TEE, SKIRT, DRESS):
        (root / path).write_bytes(b"no image")

    assert load(root).train.labels.tolist() == [0, 1]


def test_splits_are_pickled_with_their_own_rows_alone(root: Path, load: Load) -> None:
    train = load(root).train

    assert b"Plain_Dress" not in pickle.dumps(train)
    assert pickle.loads(pickle.dumps(train)).source(1) == SKIRT


@pytest.fixture(scope="module")
def lookalike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lookalike")
    DeepFashionDataset.write_lookalike(folder, num_images=24, seed=0)
    return folder


@pytest.mark.parametrize("check", checks_for("dataset"), ids=lambda check: check.__name__)
def test_keeps_to_the_contract_of_a_data_set(check: Check, lookalike: Path) -> None:
    check(DeepFashionDataset, DeepFashionConfig(root=str(lookalike)))
