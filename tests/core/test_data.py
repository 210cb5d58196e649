import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fdmo_core.batches import LoadingConfig
from fdmo_core.config import Run
from fdmo_core.data import (
    SOME_IMAGES,
    align_classes,
    data_notices,
    describe_data,
    open_batches,
    open_data,
    require_input,
    require_split,
    some_samples,
)
from fdmo_core.data_report import REPORT_FORMAT
from fdmo_core.errors import ConfigError, DataError
from fdmo_core.interfaces import Dataset, DatasetConfig
from fdmo_core.preprocessing import prepare, prepare_all
from fdmo_core.registry import Resolved
from fdmo_core.samples import Sample, Splits

NAMES = ("cat", "dog", "emu")


@dataclass(frozen=True)
class PlainSplit:
    """Images of one grey value each, ten times their number."""

    own_labels: tuple[int, ...]

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.array(self.own_labels, dtype=np.int64)

    def __getitem__(self, index: int) -> Sample:
        image = np.full((16, 16, 3), 10 * index, dtype=np.uint8)
        return Sample(image, self.own_labels[index])

    def source(self, index: int) -> str:
        return f"plain/{index}"


def splits(
    train: tuple[int, ...] = (0, 0, 0, 1, 1, 2),
    val: tuple[int, ...] = (0, 1, 2),
    test: tuple[int, ...] = (2, 1, 0),
    *,
    names: tuple[str, ...] = NAMES,
) -> Splits:
    return Splits(names, PlainSplit(train), PlainSplit(val), PlainSplit(test), digest="d1ce")


class GivenConfig(DatasetConfig):
    name: Literal["given"] = "given"


class GivenDataset(Dataset):
    """Gives splits that a test put here."""

    config_class: ClassVar[type[DatasetConfig]] = GivenConfig
    given: ClassVar[Splits]
    seeds: ClassVar[list[int]] = []

    def load(self) -> Splits:
        self.seeds.append(self.seed)
        return self.given


def opened(tiny_run: Callable[..., Run], given: Splits, *, seed: int = 0) -> Splits:
    run = tiny_run(seed=seed)
    GivenDataset.given = given
    return open_data(replace(run, data=Resolved(GivenDataset, GivenConfig(), run.data.origin)))


def refusal(tiny_run: Callable[..., Run], given: Splits) -> str:
    with pytest.raises(DataError) as caught:
        opened(tiny_run, given)
    return str(caught.value)


def test_sound_data_is_opened_as_it_is(tiny_run: Callable[..., Run]) -> None:
    given = splits()

    assert opened(tiny_run, given, seed=5) is given
    assert GivenDataset.seeds[-1] == 5


def test_names_that_repeat_are_refused(tiny_run: Callable[..., Run]) -> None:
    assert refusal(tiny_run, splits(names=("cat", "dog", "cat"))) == (
        "Class names repeat: cat. Expected each once. Rename the classes."
    )


def test_a_single_class_is_refused(tiny_run: Callable[..., Run]) -> None:
    assert refusal(tiny_run, splits((0, 0), (0,), (0,), names=("cat",))) == (
        "The training split has 1 class(es): cat. Expected at least 2. Check that data points at "
        "the folder above the classes."
    )


@pytest.mark.parametrize("label", [3, -1])
@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_a_label_out_of_range_is_refused(
    tiny_run: Callable[..., Run], name: str, label: int
) -> None:
    given = replace(splits(), **{name: PlainSplit((0, 1, 2, label))})  # type: ignore[arg-type]

    assert refusal(tiny_run, given) == (
        f"Split '{name}' has label {label}. Expected 0 to 2, one for each class of the training "
        f"split. Remove the class or add it to training."
    )


def test_a_class_without_a_training_image_is_refused(tiny_run: Callable[..., Run]) -> None:
    assert refusal(tiny_run, splits((1, 1))) == (
        "Classes without a training image: cat, emu. Expected at least one of each. Drop the "
        "classes or add images."
    )


def test_a_class_without_a_training_image_stays_where_the_data_set_asks_for_it(
    tiny_run: Callable[..., Run],
) -> None:
    given = replace(splits((0, 0), (0,), (0,), names=("cat", "dog")), keeps_empty_classes=True)

    assert opened(tiny_run, given) is given


def test_what_a_report_leaves_out_is_not_used(tiny_run: Callable[..., Run], tmp_path: Path) -> None:
    given, report = splits(), tmp_path / "report.json"
    gone = given.train.source(0)
    leave_out = {"train": [gone], "val": [], "test": []}
    report.write_text(json.dumps({"format": REPORT_FORMAT, "leave_out": leave_out}))
    GivenDataset.given, run = given, tiny_run()
    config = GivenConfig(exclude=str(report))

    kept = open_data(replace(run, data=Resolved(GivenDataset, config, run.data.origin)))

    assert len(kept.train.labels) == len(given.train.labels) - 1
    assert gone not in [kept.train.source(row) for row in range(len(kept.train.labels))]
    assert kept.digest != given.digest


def test_the_configured_data_set_is_opened(tiny_run: Callable[..., Run]) -> None:
    garments = open_data(tiny_run())

    assert len(garments.class_names) == 12
    assert garments.counts("train").max() == 12
    assert garments.counts("val").tolist() == [2] * 12


def test_each_split_has_its_batches() -> None:
    batches = open_batches(splits(), 16, LoadingConfig())

    assert list(batches) == ["train", "val", "test"]
    assert batches["test"].labels.tolist() == [2, 1, 0]
    assert next(batches["val"].in_order(3)).images.shape == (3, 3, 16, 16)


def test_data_is_described_as_plain_data() -> None:
    described = describe_data(
        replace(
            splits(val=(0, 0), test=()),
            landmark_names=("left", "right"),
            skipped={"a/b.png": "It is empty."},
        )
    )

    assert described == {
        "class_names": ["cat", "dog", "emu"],
        "counts": {"train": [3, 2, 1], "val": [2, 0, 0], "test": [0, 0, 0]},
        "absent_classes": {"train": [], "val": ["dog", "emu"], "test": ["cat", "dog", "emu"]},
        "landmark_names": ["left", "right"],
        "skipped": {"a/b.png": "It is empty."},
        "digest": "d1ce",
    }


def test_what_a_person_should_know_is_a_sentence_each() -> None:
    skipping = replace(splits(val=(0, 0)), skipped={"a": "Empty.", "b": "Empty."})

    notices = data_notices(skipping, mirrors=True)

    assert notices == [
        "Split 'val' has no image of: dog, emu; its metrics leave them out.",
        "2 file(s) or folder(s) were skipped; data.json says why.",
        "The data set has no landmarks, so no landmark head is built.",
    ]


def test_sound_data_with_landmarks_needs_no_word() -> None:
    assert data_notices(replace(splits(), landmark_names=("left",)), mirrors=False) == []


def test_mirroring_landmarks_without_pairs_is_told() -> None:
    alone = replace(splits(), landmark_names=("left collar", "right collar"))
    paired = replace(alone, mirrored_landmarks=((0, 1),))

    (notice,) = data_notices(alone, mirrors=True)

    assert "the data set names no pairs of landmarks" in notice
    assert data_notices(paired, mirrors=True) == []


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_every_split_can_be_asked_for(name: str) -> None:
    require_split(name)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        require_split("validation")

    assert str(caught.value) == (
        "Unknown split 'validation'. Expected one of: train, val, test. Correct --split."
    )


def test_classes_are_aligned_by_name() -> None:
    aligned = align_classes(splits(), ("emu", "ape", "cat", "dog"))

    assert aligned.class_names == ("emu", "ape", "cat", "dog")
    assert aligned.train.labels.tolist() == [2, 2, 2, 3, 3, 0]
    assert aligned.counts("test").tolist() == [1, 0, 1, 1]  # nobody knows an ape


def test_aligned_samples_are_the_same_but_for_the_label() -> None:
    given = splits()

    aligned = align_classes(given, ("emu", "dog", "cat"))

    for row, label in enumerate([0, 1, 2]):
        sample = aligned.test[row]
        assert sample.label == label == aligned.test.labels[row]
        np.testing.assert_array_equal(sample.image, given.test[row].image)
        assert aligned.test.source(row) == given.test.source(row)
    assert given.test.labels.tolist() == [2, 1, 0]


def test_an_aligned_split_goes_to_other_processes() -> None:
    aligned = align_classes(splits(), ("emu", "dog", "cat"))

    copy: Any = pickle.loads(pickle.dumps(aligned.val))

    assert copy.labels.tolist() == [2, 1, 0]


def test_classes_that_the_model_does_not_know_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        align_classes(splits(), ("dog", "cow"))

    assert str(caught.value) == (
        "The model does not know the classes: cat, emu. Expected some of: dog, cow. Rename the "
        "classes, or evaluate other data."
    )


def test_some_samples_are_spread_over_the_split() -> None:
    labels = tuple(row % 3 for row in range(25))
    given = splits(val=labels)

    samples, name = some_samples(given)

    images = prepare_all(samples, 20)
    assert name == "val"
    assert images.shape == (SOME_IMAGES, 3, 20, 20)
    assert images[:, 0, 0, 0].unique().numel() == SOME_IMAGES
    assert torch.equal(images[0], prepare(given.val[0], 20).image)
    assert torch.equal(images[-1], prepare(given.val[24], 20).image)


@pytest.mark.parametrize(
    ("val", "test", "expected"), [((0,), (1, 2), "val"), ((), (1, 2), "test"), ((), (), "train")]
)
def test_some_samples_come_from_the_first_split_that_has_any(
    val: tuple[int, ...], test: tuple[int, ...], expected: str
) -> None:
    given = splits(val=val, test=test)

    samples, name = some_samples(given)

    assert name == expected
    assert len(samples) == len(given.named()[expected].labels)


def test_data_that_are_features_say_what_does_not_apply(feature_splits: Splits) -> None:
    assert data_notices(feature_splits, mirrors=True) == [
        "The data are features: phase 1 trains the main classifier alone. Settings of extractors, "
        "landmark head, augmentation, cache and phase1.shape_epochs do not apply. The preset "
        "'features' has rates and epochs that suit it."
    ]


def test_features_are_prepared_as_they_are(feature_splits: Splits) -> None:
    samples, name = some_samples(feature_splits)

    found = prepare_all(samples, 16)
    assert name == "val"
    assert torch.equal(
        found, torch.stack([torch.tensor(feature_splits.val[row].features) for row in range(12)])
    )
    batches = open_batches(feature_splits, 16, LoadingConfig())["test"]
    (batch,) = batches.in_order(20)
    assert batch.images.shape == (15, 8)


def test_a_network_must_take_what_the_data_hold(feature_splits: Splits) -> None:
    require_input(feature_splits, 8)
    require_input(splits(), 0)

    with pytest.raises(DataError) as caught:
        require_input(feature_splits, 9)
    assert str(caught.value) == (
        "The data hold features of length 8, and the network was trained on features of length 9. "
        "Expected the same. Give the data that it was trained on, or others of that kind with "
        "--data."
    )
    with pytest.raises(DataError, match=r"hold images, and the network was trained on features of"):
        require_input(splits(), 9)


def test_features_follow_another_order_of_classes(feature_splits: Splits) -> None:
    aligned = align_classes(feature_splits, ("tern", "owl", "ibis", "auk"))

    assert aligned.stream_dims == (3, 5)
    sample = aligned.train[0]
    assert sample.label == 3
    assert sample.features is feature_splits.train[0].features
