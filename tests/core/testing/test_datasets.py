from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fdmo_core import Sample, Split, Splits
from fdmo_core.testing import Check
from fdmo_core.testing import datasets as kit
from fdmo_plugins.datasets.garments.dataset import GarmentsConfig, GarmentsDataset

CONFIG = GarmentsConfig(largest_class=4, imbalance_ratio=2.0, val_per_class=1, test_per_class=1)
LOADS = count()


@dataclass
class Changed:
    """A split whose samples are changed as they are read."""

    split: Split
    change: Callable[[Sample], Sample]

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.split.labels

    def __getitem__(self, index: int) -> Sample:
        return self.change(self.split[index])

    def source(self, index: int) -> str:
        return self.split.source(index)


class Recounted(Changed):
    @property
    def labels(self) -> NDArray[np.int64]:
        return self.split.labels + 8


def dataset(change: Callable[[Splits], Splits]) -> type[GarmentsDataset]:
    class ChangedDataset(GarmentsDataset):
        def load(self) -> Splits:
            return change(super().load())

    return ChangedDataset


def with_samples(change: Callable[[Sample], Sample]) -> type[GarmentsDataset]:
    return dataset(lambda splits: replace(splits, val=Changed(splits.val, change)))


def with_features(sample: Sample) -> Sample:
    return replace(sample, features=np.zeros(3, np.float32))


def with_nan(splits: Splits) -> Splits:
    def change(sample: Sample) -> Sample:
        return replace(sample, features=np.full(3, np.nan, np.float32))

    train, val, test = (Changed(split, change) for split in splits.named().values())
    return replace(splits, train=train, val=val, test=test, stream_dims=(3,))


def same(sample: Sample) -> Sample:
    return sample


def moved(sample: Sample) -> Sample:
    landmarks = np.full((8, 3), (500.0, 3.0, 3.0), dtype=np.float32)
    return replace(sample, landmarks=landmarks)


def scaled(sample: Sample) -> Sample:
    image: Any = sample.image / 255
    return replace(sample, image=image)


def shifting(sample: Sample) -> Sample:
    return replace(sample, box=(0, 0, 1, next(LOADS) + 1))


def drawn_globally(splits: Splits) -> Splits:
    np.random.rand()
    return splits


NEEDS_MORE = type("NeedsMore", (GarmentsDataset,), {"__init__": lambda self, config: None})

BROKEN: list[tuple[type[Any], Check, str]] = [
    (NEEDS_MORE, kit.check_is_built_from_its_config, "unexpected keyword argument 'seed'"),
    (dataset(drawn_globally), kit.check_is_built_from_its_config, "generator of numpy"),
    (
        dataset(lambda splits: replace(splits, class_names=("coat",) * 12)),
        kit.check_has_named_classes,
        "Expected two or more, each its own",
    ),
    (
        dataset(lambda splits: replace(splits, class_names=(*splits.class_names, "hat"))),
        kit.check_has_named_classes,
        "has no image of hat",
    ),
    (
        dataset(lambda splits: replace(splits, val=Recounted(splits.val, same))),
        kit.check_labels_are_class_indices,
        r"Labels of val are \[12, 13, .*\] with 12 classes",
    ),
    (
        with_samples(lambda sample: replace(sample, label=3)),
        kit.check_labels_are_class_indices,
        "Samples of val have the labels {0: 3",
    ),
    (
        with_samples(lambda sample: replace(sample, image=sample.image[:, :, 0])),
        kit.check_images_are_rgb,
        "Image 0 of val has shape",
    ),
    (
        with_samples(scaled),
        kit.check_images_are_rgb,
        "has dtype float64. Expected uint8",
    ),
    (
        with_samples(lambda sample: replace(sample, box=(9.0, 0.0, 3.0, 8.0))),
        kit.check_images_are_rgb,
        "Expected left, top, right, bottom",
    ),
    (
        with_samples(lambda sample: replace(sample, landmarks=None)),
        kit.check_landmarks_fit_their_names,
        "landmarks of shape None with 8 landmark names",
    ),
    (
        with_samples(with_features),
        kit.check_features_fit_the_streams,
        r"Sample 0 of val has 3 features with stream_dims \(\)",
    ),
    (dataset(with_nan), kit.check_features_fit_the_streams, "sample 0 of train are not finite"),
    (with_samples(moved), kit.check_landmarks_fit_their_names, "outside by its position"),
    (
        dataset(lambda splits: replace(splits, mirrored_landmarks=((7, 8),))),
        kit.check_landmarks_fit_their_names,
        "Expected pairs of their indices",
    ),
    (
        dataset(lambda splits: replace(splits, test=splits.val)),
        kit.check_splits_share_no_source,
        "12 images of test are in val too, such as 'garments/val/0'",
    ),
    (
        dataset(lambda splits: replace(splits, digest=str(next(LOADS)))),
        kit.check_loads_the_same_twice,
        "Two loads have the digests",
    ),
    (
        dataset(lambda splits: replace(splits, val=(splits.val, splits.test)[next(LOADS) % 2])),
        kit.check_loads_the_same_twice,
        "different samples in val",
    ),
    (
        with_samples(lambda sample: sample),
        kit.check_reads_in_any_order,
        "cannot be pickled",
    ),
    (with_samples(shifting), kit.check_reads_in_any_order, "depend on its index alone"),
]


@pytest.mark.parametrize(("broken", "check", "message"), BROKEN)
def test_a_broken_dataset_is_caught(broken: type[Any], check: Check, message: str) -> None:
    with pytest.raises(AssertionError, match=f"{message}.* See fdmo_core"):
        check(broken, CONFIG)


def test_every_check_of_a_dataset_is_proved_to_catch_something() -> None:
    assert {check for _, check, _ in BROKEN} == set(kit.CHECKS)
