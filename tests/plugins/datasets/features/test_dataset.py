import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors.numpy import save_file

from fdmo_core import ConfigError, DataError, Splits
from fdmo_plugins.datasets.features.dataset import FeaturesConfig

Vectors = NDArray[np.float32]
Names = NDArray[np.str_]
Load = Callable[..., Splits]
Npz = Callable[..., Path]


def rows_of(splits: Splits) -> dict[str, list[int]]:
    return {
        name: [int(split.source(index).split()[-1]) for index in range(len(split.labels))]
        for name, split in splits.named().items()
    }


def test_samples_are_the_rows_of_the_file(npz: Npz, load: Load, vectors: Vectors) -> None:
    names = np.repeat(["a", "b"], 20)

    splits = load(npz(features=vectors, labels=names))

    assert splits.class_names == ("a", "b")
    assert splits.stream_dims == (5,)
    for name, rows in rows_of(splits).items():
        split = splits.named()[name]
        for index, row in enumerate(rows):
            features = split[index].features
            assert features is not None
            assert features.dtype == np.float32
            np.testing.assert_array_equal(features, vectors[row])
            assert splits.class_names[split.labels[index]] == names[row]
            assert split.source(index) == f"features.npz row {row}"


def test_every_kind_of_file_gives_the_same_data(
    tmp_path: Path, load: Load, vectors: Vectors, names: Names
) -> None:
    labels = np.unique(names, return_inverse=True)[1].astype(np.int64)
    np.savez(tmp_path / "plain.npz", X=vectors, y=labels)
    np.savez_compressed(tmp_path / "small.npz", features=vectors, label=labels.astype(np.int8))
    np.save(tmp_path / "X.npy", np.asfortranarray(vectors).astype(">f8"))
    np.save(tmp_path / "y.npy", labels.astype(np.float32))
    save_file({"embeddings": vectors, "y": labels}, tmp_path / "tensors.safetensors")

    digests = {
        load(tmp_path / "plain.npz").digest,
        load(tmp_path / "small.npz").digest,
        load(tmp_path / "X.npy", labels_file=str(tmp_path / "y.npy")).digest,
        load(tmp_path / "tensors.safetensors").digest,
    }

    assert len(digests) == 1


@pytest.mark.parametrize("change", ["feature", "label", "split", "seed", "streams"])
def test_the_digest_follows_all_that_decides_a_sample(
    npz: Npz, load: Load, vectors: Vectors, change: str
) -> None:
    labels = np.repeat([0, 1], 20)
    split = np.tile(["train", "train", "val", "test"], 10)
    before = load(npz(X=vectors, y=labels, split=split)).digest

    options: dict[str, Any] = {}
    if change == "feature":
        vectors[39, 4] += 1
    elif change == "label":
        labels[0] = 1
    elif change == "split":
        split[0] = "val"
    elif change == "seed":
        options = {"split_key": "", "seed": 1}
    else:
        options = {"stream_dims": (2, 3)}
    after = load(npz(X=vectors, y=labels, split=split), **options).digest

    assert after != before


def test_a_split_of_the_file_is_kept(npz: Npz, load: Load, vectors: Vectors) -> None:
    split = np.tile(["train", "train", "val", "test"], 10)

    splits = load(npz(X=vectors, y=np.arange(40) % 2 * 3, split=split))

    assert rows_of(splits) == {
        name: np.flatnonzero(split == name).tolist() for name in ("train", "val", "test")
    }


def test_a_split_that_no_row_names_is_drawn_class_by_class(
    npz: Npz, load: Load, vectors: Vectors, names: Names
) -> None:
    splits = load(npz(X=vectors, y=names), val_share=0.2, test_share=0.4)

    assert splits.class_names == ("ash", "elm", "oak")
    assert splits.counts("val").tolist() == [2, 1, 5]
    assert splits.counts("test").tolist() == [4, 2, 10]
    assert splits.counts("train").tolist() == [4, 2, 10]
    assert sorted(row for rows in rows_of(splits).values() for row in rows) == list(range(40))


def test_a_missing_validation_split_is_drawn_from_train_alone(
    npz: Npz, load: Load, vectors: Vectors
) -> None:
    split = np.repeat(["train", "test"], 20)

    splits = load(npz(X=vectors, y=np.arange(40) % 2, split=split), val_share=0.3)

    assert rows_of(splits)["test"] == list(range(20, 40))
    assert splits.counts("val").tolist() == [3, 3]


def test_the_seed_draws_the_splits(npz: Npz, load: Load, vectors: Vectors, names: Names) -> None:
    file = npz(X=vectors, y=names)

    assert rows_of(load(file, seed=1)) == rows_of(load(file, seed=1))
    assert rows_of(load(file, seed=1)) != rows_of(load(file, seed=2))


def test_a_class_with_one_row_keeps_it_to_train_with(
    npz: Npz, load: Load, vectors: Vectors
) -> None:
    splits = load(npz(X=vectors, y=np.array(["a"] * 39 + ["b"])), val_share=0.4, test_share=0.5)

    assert splits.counts("train").tolist()[1] == 1
    assert 39 in rows_of(splits)["train"]


def test_more_classes_than_features_and_equal_rows_are_fine(npz: Npz, load: Load) -> None:
    splits = load(npz(X=np.ones((40, 1)), y=np.arange(40) % 8))

    assert len(splits.class_names) == 8
    assert splits.feature_dim == 1


def test_as_many_classes_as_rows_leave_nothing_to_validate_with(
    npz: Npz, load: Load, vectors: Vectors
) -> None:
    file = npz(X=vectors, y=np.arange(40))

    with pytest.raises(DataError, match=r"val_share = 0\.1 draws no val row at all: the largest"):
        load(file)

    assert load(file, val_share=0, test_share=0).counts("train").tolist() == [1] * 40


def test_labels_and_splits_may_lie_in_files_of_their_own(
    tmp_path: Path, load: Load, vectors: Vectors, names: Names
) -> None:
    split = np.arange(40) % 3
    np.save(tmp_path / "X.npy", vectors)
    np.save(tmp_path / "y.npy", names.astype(np.bytes_))
    np.save(tmp_path / "split.npy", split)

    splits = load(
        tmp_path / "X.npy",
        labels_file=str(tmp_path / "y.npy"),
        split_file=str(tmp_path / "split.npy"),
    )

    assert splits.class_names == ("ash", "elm", "oak")
    assert rows_of(splits)["test"] == np.flatnonzero(split == 2).tolist()


def test_names_of_arrays_are_settings(npz: Npz, load: Load, vectors: Vectors) -> None:
    part = np.tile(["train", "val", "test", "train"], 10)
    file = npz(z=vectors, target=np.arange(40) // 4 % 2, part=part)

    splits = load(file, features_key="z", labels_key="target", split_key="part")

    assert rows_of(splits)["val"] == np.flatnonzero(part == "val").tolist()


def test_a_row_may_divide_into_streams(npz: Npz, load: Load, vectors: Vectors) -> None:
    file = npz(X=vectors, y=np.arange(40) % 2)

    assert load(file, stream_dims=(2, 3)).stream_dims == (2, 3)
    with pytest.raises(ConfigError) as caught:
        load(file, stream_dims=(2, 2))
    assert str(caught.value) == (
        "data.stream_dims is [2, 2], 4 in all, and a row has 5 features. Expected the same sum. "
        "Correct data.stream_dims."
    )


def test_class_names_of_the_file_keep_their_order(npz: Npz, load: Load, vectors: Vectors) -> None:
    file = npz(X=vectors, y=np.arange(40) % 2, class_names=np.array(["tern", "auk", "dodo"]))

    splits = load(file)

    assert splits.class_names == ("tern", "auk")
    assert dict(splits.skipped) == {"class dodo": "The class has no training row and was left out."}


def test_features_of_half_precision_and_whole_numbers_become_float32(
    npz: Npz, load: Load, vectors: Vectors
) -> None:
    for dtype in (np.float16, np.uint8, np.bool_):
        stored = (np.abs(vectors) * 10).astype(dtype)
        sample = load(npz(X=stored, y=np.arange(40) % 2)).test[0]
        assert sample.features is not None
        assert sample.features.dtype == np.float32


def test_splits_survive_pickling_without_their_features(npz: Npz, load: Load, names: Names) -> None:
    split = load(npz(X=np.zeros((40, 10_000), np.float32), y=names)).val

    content = pickle.dumps(split)

    assert len(content) < 10_000
    features = pickle.loads(content)[2].features
    np.testing.assert_array_equal(features, np.zeros(10_000))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named_by_row_and_column(
    npz: Npz, load: Load, vectors: Vectors, names: Names, value: float
) -> None:
    vectors[17, 3] = value
    file = npz(X=vectors, y=names)

    with pytest.raises(DataError) as caught:
        load(file)

    assert str(caught.value) == (
        f"Row 17, column 3 of '{file}' is {value:g}. Expected finite numbers throughout. Correct "
        f"or remove the row, or fill such values in before saving."
    )


def test_a_value_beyond_float32_is_named(npz: Npz, load: Load, names: Names) -> None:
    vectors = np.zeros((40, 2))
    vectors[39, 1] = 1e300

    with pytest.raises(DataError, match=r"Row 39, column 1 .* is 1e\+300, too large for float32\."):
        load(npz(X=vectors, y=names))


def test_one_class_is_refused(npz: Npz, load: Load, vectors: Vectors) -> None:
    with pytest.raises(DataError) as caught:
        load(npz(X=vectors, y=np.full(40, "oak")))

    assert str(caught.value) == (
        "The training rows have 1 class(es): oak. Expected at least 2. Check the labels, and the "
        "split if the file names it."
    )


def test_classes_without_a_training_row_are_named(npz: Npz, load: Load, vectors: Vectors) -> None:
    labels = np.array([0, 1] * 19 + [2, 3])
    split = np.array(["train"] * 38 + ["val", "test"])

    with pytest.raises(DataError, match=r"without a training row: 2 \(val\), 3 \(test\)\. Expect"):
        load(npz(X=vectors, y=labels, split=split))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.zeros(40)}, r"The features have the shape \(40,\)\. Expected \(rows, features\)"),
        ({"X": np.zeros((40, 0))}, r"The features have the shape \(40, 0\)"),
        ({"X": np.zeros((0, 5)), "y": np.zeros(0)}, r"The features have the shape \(0, 5\)"),
        ({"X": np.zeros((40, 2, 2))}, r"The features have the shape \(40, 2, 2\)"),
        ({"X": np.zeros((40, 2), complex)}, r"of the type complex128\. Expected real numbers"),
        ({"X": np.full((40, 2), "1.0")}, r"The features are of the type <U3\. Expected real"),
        ({"y": np.zeros((40, 3))}, r"The labels have the shape \(40, 3\)\. .*argmax\(axis=1\)"),
        ({"y": np.zeros(39)}, r"There are 39 labels and 40 rows of features\. Expected as many"),
        ({"split": np.full(41, "val")}, r"There are 41 splits and 40 rows of features"),
        ({"split": np.full(40, "dev")}, r"The split of row 0 is 'dev'\. Expected train, val, test"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    npz: Npz, load: Load, vectors: Vectors, arrays: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(npz(**{"X": vectors, "y": np.arange(40) % 2, **arrays}))


def test_files_that_are_missing_or_of_another_kind_are_named(
    tmp_path: Path, load: Load, vectors: Vectors
) -> None:
    np.save(tmp_path / "X.npy", vectors)
    (tmp_path / "X.h5").touch()

    with pytest.raises(ConfigError, match=r"^data\.file is empty\. Expected a \.npz, \.npy,"):
        load("")
    with pytest.raises(DataError, match=r"gone\.npz' is no file\. Expected one\. Correct data\.fi"):
        load(tmp_path / "gone.npz")
    with pytest.raises(ConfigError, match=r"^data\.labels_file is empty\. Expected a \.npy file"):
        load(tmp_path / "X.npy")
    with pytest.raises(ConfigError, match=r"X\.h5' ends in '\.h5'\. Expected \.npz, \.npy, \.safe"):
        load(tmp_path / "X.h5")


@pytest.mark.parametrize(
    "options", [{"val_share": 0.5, "test_share": 0.5}, {"stream_dims": (4, 0)}]
)
def test_options_that_leave_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"leave nothing to train with|lengths of at least 1"):
        FeaturesConfig.model_validate(options)
