import gzip
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from fdmo_core import ConfigError, DataError, Splits
from fdmo_core.imbalance import GAMO_COUNTS
from fdmo_plugins.datasets import fashion_mnist
from fdmo_plugins.datasets.fashion_mnist import (
    DEBIAN_FOLDER,
    FashionMnistConfig,
    FashionMnistDataset,
)
from fdmo_plugins.datasets.idx import find_idx, read_idx

NUM_TRAIN, NUM_TEST = 12, 3  # images per class in the files that these tests write

needs_the_real_files = pytest.mark.skipif(
    not DEBIAN_FOLDER.is_dir(), reason="needs the Debian package dataset-fashion-mnist"
)


def write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    header = struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape)
    content = header + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_files(folder: Path, suffix: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for part, per_class in (("train", NUM_TRAIN), ("t10k", NUM_TEST)):
        labels = np.tile(np.arange(10, dtype=np.uint8), per_class)
        images = rng.integers(0, 256, (len(labels), 28, 28), np.uint8)
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", labels)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_files(tmp_path / "idx")


def load(root: Path | None, seed: int = 0, **options: Any) -> Splits:
    settings = {"profile": "exponential", "largest_class": 8, "imbalance_ratio": 4} | options
    config = FashionMnistConfig.model_validate(
        {"root": str(root) if root else "", "val_per_class": 2, **settings}
    )
    return FashionMnistDataset(config, seed=seed).load()


def sources(splits: Splits, name: str) -> list[str]:
    split = splits.named()[name]
    return [split.source(index) for index in range(len(split.labels))]


def test_the_long_tail_has_the_counts_of_its_profile(root: Path) -> None:
    splits = load(root)

    assert splits.counts("train").tolist() == [8, 6, 5, 5, 4, 3, 3, 2, 2, 2]
    assert splits.counts("val").tolist() == [2] * 10
    assert splits.counts("test").tolist() == [NUM_TEST] * 10
    assert splits.class_names[6:8] == ("Shirt", "Sneaker")


def test_a_step_and_no_long_tail_are_profiles_too(root: Path) -> None:
    assert load(root, profile="step").counts("train").tolist() == [8] * 5 + [2] * 5
    assert load(root, profile="full").counts("train").tolist() == [NUM_TRAIN - 2] * 10


def test_no_image_is_used_twice(root: Path) -> None:
    splits = load(root, profile="full")

    used = sources(splits, "train") + sources(splits, "val")

    assert len(set(used)) == len(used) == NUM_TRAIN * 10


def test_samples_are_the_images_that_their_sources_name(root: Path) -> None:
    splits = load(root)
    whole = (root / "train-images-idx3-ubyte").read_bytes()[16:]
    labels = (root / "train-labels-idx1-ubyte").read_bytes()[8:]

    for index in (0, 11, 39):
        sample = splits.train[index]
        number = int(splits.train.source(index).removeprefix("train-images-idx3-ubyte "))
        assert sample.image.shape == (28, 28, 3)
        assert sample.image[:, :, 1].tobytes() == whole[784 * number : 784 * (number + 1)]
        assert sample.label == splits.train.labels[index] == labels[number]


def test_the_seed_chooses_the_images(root: Path) -> None:
    first, again, other = load(root, seed=1), load(root, seed=1), load(root, seed=2)

    assert sources(first, "train") == sources(again, "train")
    assert sources(first, "train") != sources(other, "train")
    assert first.digest == again.digest != other.digest


def test_the_validation_images_do_not_depend_on_the_profile(root: Path) -> None:
    assert sources(load(root), "val") == sources(load(root, profile="step"), "val")


def test_compressed_files_give_the_same_digest(root: Path, tmp_path: Path) -> None:
    compressed = write_files(tmp_path / "gz", suffix=".gz")

    assert load(compressed).digest == load(root).digest


def test_one_other_pixel_gives_another_digest(root: Path) -> None:
    before = load(root).digest
    path = root / "t10k-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    assert load(root).digest != before


def test_splits_survive_pickling(root: Path) -> None:
    split = load(root).val

    restored = pickle.loads(pickle.dumps(split))

    np.testing.assert_array_equal(restored[3].image, split[3].image)


def test_files_that_torchvision_downloaded_are_found_below_root(tmp_path: Path) -> None:
    write_files(tmp_path / "FashionMNIST" / "raw")

    assert load(tmp_path).counts("test").sum() == NUM_TEST * 10


def test_missing_files_say_where_to_get_them(root: Path) -> None:
    (root / "t10k-labels-idx1-ubyte").unlink()

    with pytest.raises(DataError) as caught:
        load(root)

    assert str(caught.value) == (
        f"Fashion-MNIST is not in '{root}': t10k-labels-idx1-ubyte is missing. Expected its four "
        f"idx files, plain or .gz. Run 'apt-get install dataset-fashion-mnist' and leave data.root "
        f"empty, or set data.root to a folder that has them, or to any folder with data.download = "
        f"true."
    )


def test_a_download_needs_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path)

    with pytest.raises(ConfigError, match=r"data\.root is empty\. Expected a folder to download"):
        load(None, download=True)


def test_a_failed_download_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = (tmp_path / "nowhere").as_uri() + "/"
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.mirrors", [nowhere])

    with pytest.raises(DataError, match=r"(?s)cannot be downloaded into .*No such file.*Try again"):
        load(tmp_path / "root", download=True)


def test_as_many_labels_as_images_are_expected(root: Path) -> None:
    write_idx(root / "train-labels-idx1-ubyte", np.arange(10, dtype=np.uint8))

    with pytest.raises(DataError, match=r"has 120 images and .* 10 labels\. Expected as many of"):
        load(root)


@pytest.mark.parametrize("labels", [[*range(1, 11)], [0] * 10])
def test_the_labels_are_those_of_ten_classes(root: Path, labels: list[int]) -> None:
    values = np.repeat(np.array(labels, np.uint8), NUM_TRAIN)
    write_idx(root / "train-labels-idx1-ubyte", values)

    with pytest.raises(DataError, match=r"has the labels \[.*\]\. Expected 0 to 9, each at least"):
        load(root)


def test_a_long_tail_that_is_too_long_names_the_class(root: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(root, largest_class=11)

    assert str(caught.value) == (
        "Class 'T-shirt/top' has 12 training images. Expected at least 13: 11 for the profile "
        "'exponential' and 2 for validation. Lower data.val_per_class, or choose another "
        "data.profile or data.largest_class."
    )


def test_gamo_exact_is_an_option_of_the_profile_gamo_alone() -> None:
    with pytest.raises(ValidationError, match="Set profile = 'gamo' or gamo_exact = false"):
        FashionMnistConfig(profile="step", gamo_exact=True)


@needs_the_real_files
def test_the_real_files_give_the_set_of_gamo_without_repetition() -> None:
    splits = FashionMnistDataset(FashionMnistConfig(), seed=0).load()

    assert splits.counts("train").tolist() == list(GAMO_COUNTS)
    assert splits.counts("val").tolist() == [100] * 10
    assert splits.counts("test").tolist() == [1000] * 10
    assert len(set(sources(splits, "train") + sources(splits, "val"))) == 10_000


@needs_the_real_files
def test_gamo_exact_repeats_images() -> None:
    splits = FashionMnistDataset(FashionMnistConfig(gamo_exact=True), seed=0).load()

    assert splits.counts("train").tolist() == list(GAMO_COUNTS)
    assert splits.counts("test").tolist() == [100] * 10
    # 4000 draws from 4000 leave 1 - 1/e of them, 2529; four standard deviations of 25
    assert len(set(sources(splits, "train")[:4000])) == pytest.approx(2529, abs=100)
    assert len(set(sources(splits, "test"))) == pytest.approx(940, abs=30)
    assert not set(sources(splits, "train")) & set(sources(splits, "val"))


@needs_the_real_files
def test_gamo_exact_tests_with_the_first_800_of_each_class() -> None:
    test = FashionMnistDataset(FashionMnistConfig(gamo_exact=True), seed=0).load().test
    path = find_idx(DEBIAN_FOLDER, "t10k-labels-idx1-ubyte")
    assert path is not None
    labels = read_idx(path, item_shape=())

    for index, label in enumerate(test.labels):
        number = int(test.source(index).split()[1])
        assert labels[number] == label
        assert (labels[:number] == label).sum() < 800
