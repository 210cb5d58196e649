"""What every data set must do. Every check loads it anew, so give it a small config."""

import pickle
from typing import Any

import numpy as np

from fdmo_core.interfaces import Dataset
from fdmo_core.samples import Sample, Split, Splits, Visibility
from fdmo_core.testing.expectations import (
    Check,
    NotApplicable,
    expect,
    expect_built,
    expect_no_global_randomness,
)

LOOKED_AT = 6  # samples of each split, spread over it


def check_is_built_from_its_config(component: type[Any], config: Any) -> None:
    """It is constructed from its config and the seed, and loads without global randomness."""
    expect_built(component, Dataset, config, seed=0)
    with expect_no_global_randomness("load() or reading a sample", read="Dataset.load"):
        splits = splits_of(component, config)
        for split in splits.named().values():
            looked_at(split)


def check_has_named_classes(component: type[Any], config: Any) -> None:
    """It has two or more classes with distinct names, all of them in the training split."""
    splits = splits_of(component, config)
    names = splits.class_names
    expect(
        len(names) >= 2 and len(set(names)) == len(names) and all(names),
        f"The class names are {names}. Expected two or more, each its own.",
        read="Splits",
    )
    missing = [names[label] for label in np.flatnonzero(splits.counts("train") == 0)]
    expect(
        not missing or splits.keeps_empty_classes,
        f"The training split has no image of {', '.join(missing)}. Expected classes that can be "
        f"learned: the training split fixes them.",
        read="Splits",
    )


def check_labels_are_class_indices(component: type[Any], config: Any) -> None:
    """Labels are one int64 number a sample, below the number of classes, as the samples have."""
    splits = splits_of(component, config)
    for name, split in splits.named().items():
        labels = split.labels
        expect(
            labels.ndim == 1 and labels.dtype == np.int64,
            f"The labels of {name} have shape {labels.shape} and dtype {labels.dtype}. Expected "
            f"(N,) and int64.",
            read="Split.labels",
        )
        outside = labels[(labels < 0) | (labels >= len(splits.class_names))]
        expect(
            not len(outside),
            f"Labels of {name} are {np.unique(outside).tolist()} with {len(splits.class_names)} "
            f"classes. Expected each below the number of classes.",
            read="Split.labels",
        )
        wrong = {
            index: sample.label
            for index, sample in looked_at(split).items()
            if sample.label != labels[index]
        }
        expect(
            not wrong,
            f"Samples of {name} have the labels {wrong} by index, and split.labels says otherwise. "
            f"Expected the same.",
            read="Split.labels",
        )


def check_images_are_rgb(component: type[Any], config: Any) -> None:
    """Images are uint8 of height, width and three channels, and a box has an area."""
    splits = splits_of(component, config)
    if splits.feature_dim:
        raise NotApplicable("Its samples are features, not images.")
    for name, split in splits.named().items():
        for index, (image, box) in {
            index: (sample.image, sample.box) for index, sample in looked_at(split).items()
        }.items():
            expect(
                image.ndim == 3 and image.shape[2] == 3 and min(image.shape) > 0,
                f"Image {index} of {name} has shape {image.shape}. Expected (H, W, 3).",
                read="Sample",
            )
            expect(
                image.dtype == np.uint8,
                f"Image {index} of {name} has dtype {image.dtype}. Expected uint8.",
                read="Sample",
            )
            expect(
                box is None or (box[0] < box[2] and box[1] < box[3]),
                f"The box of image {index} of {name} is {box}. Expected left, top, right, bottom.",
                read="Sample",
            )


def check_features_fit_the_streams(component: type[Any], config: Any) -> None:
    """Samples of a set of features have finite float32 as long as all streams, images none."""
    splits = splits_of(component, config)
    for name, split in splits.named().items():
        for index, sample in looked_at(split).items():
            features = sample.features
            expect(
                (0 if features is None else len(features)) == splits.feature_dim,
                f"Sample {index} of {name} has {0 if features is None else len(features)} features "
                f"with stream_dims {splits.stream_dims}. Expected their sum, and none without.",
                read="Sample",
            )
            expect(
                features is None
                or (
                    features.ndim == 1
                    and features.dtype == np.float32
                    and bool(np.isfinite(features).all())
                ),
                f"The features of sample {index} of {name} are not finite float32 in one row. "
                f"Expected shape (F,).",
                read="Sample",
            )


def check_landmarks_fit_their_names(component: type[Any], config: Any) -> None:
    """Every sample has x, y and visibility of each named landmark, or none has landmarks."""
    splits = splits_of(component, config)
    num_landmarks = len(splits.landmark_names)
    for name, split in splits.named().items():
        for index, sample in looked_at(split).items():
            found = None if sample.landmarks is None else sample.landmarks.shape
            expect(
                found == ((num_landmarks, 3) if num_landmarks else None),
                f"Image {index} of {name} has landmarks of shape {found} with {num_landmarks} "
                f"landmark names. Expected (K, 3), or None without names.",
                read="Sample",
            )
            if sample.landmarks is not None:
                _expect_landmarks_inside(sample, f"of image {index} of {name}")
    strangers = {index for pair in splits.mirrored_landmarks for index in pair}
    expect(
        strangers <= set(range(num_landmarks)),
        f"mirrored_landmarks is {splits.mirrored_landmarks} with {num_landmarks} landmarks. "
        f"Expected pairs of their indices.",
        read="Splits",
    )


def _expect_landmarks_inside(sample: Sample, of_image: str) -> None:
    landmarks = sample.landmarks
    assert landmarks is not None
    expect(
        landmarks.dtype == np.float32 and np.isfinite(landmarks).all(),
        f"The landmarks {of_image} have dtype {landmarks.dtype}, or are not finite. Expected "
        f"finite float32.",
        read="Sample",
    )
    codes = np.unique(landmarks[:, 2]).tolist()
    expect(
        set(codes) <= set(Visibility),
        f"The landmarks {of_image} have the visibilities {codes}. Expected those of Visibility.",
        read="Visibility",
    )
    height, width = sample.image.shape[:2]
    inside = (landmarks[:, :2] >= -0.5) & (landmarks[:, :2] <= (width - 0.5, height - 0.5))
    shown = landmarks[:, 2] >= Visibility.OCCLUDED
    expect(
        inside[shown].all(),
        f"A landmark {of_image} is in the picture by its visibility and outside by its position. "
        f"Expected x and y in pixels of the image, or TRUNCATED.",
        read="Visibility",
    )


def check_splits_share_no_source(component: type[Any], config: Any) -> None:
    """No image is in two splits, by its source."""
    splits = splits_of(component, config)
    seen: dict[str, str] = {}
    for name, split in splits.named().items():
        own = {split.source(index) for index in range(len(split.labels))}
        expect(
            all(isinstance(source, str) and source for source in own),
            f"A source of {name} is not a text. Expected a path, or a name and a number.",
            read="Split.source",
        )
        twice = sorted(source for source in own if source in seen)
        expect(
            not twice,
            f"{len(twice)} images of {name} are in {seen.get(twice[0]) if twice else ''} too, such "
            f"as '{twice[0] if twice else ''}'. Expected splits that share no image.",
            read="Splits",
        )
        seen |= dict.fromkeys(own, name)


def check_loads_the_same_twice(component: type[Any], config: Any) -> None:
    """Two loads with one seed give the same splits, and say so by their digest."""
    first, second = splits_of(component, config), splits_of(component, config)
    expect(
        first.digest and first.digest == second.digest,
        f"Two loads have the digests '{first.digest}' and '{second.digest}'. Expected the same.",
        read="Splits",
    )
    expect(first.class_names == second.class_names, "Two loads differ in classes.", read="Splits")
    for name, split in first.named().items():
        other = second.named()[name]
        same = np.array_equal(split.labels, other.labels) and all(
            split.source(index) == other.source(index) and same_sample(sample, other[index])
            for index, sample in looked_at(split).items()
        )
        expect(
            same,
            f"Two loads with one seed give different samples in {name}. Expected the same: labels, "
            f"sources and pixels.",
            read="Dataset.load",
        )


def check_reads_in_any_order(component: type[Any], config: Any) -> None:
    """A sample is the same whatever was read before, and in another process."""
    for name, split in splits_of(component, config).named().items():
        samples = looked_at(split)
        elsewhere = _pickled(split, name)
        expect(
            all(
                same_sample(samples[index], split[index])
                and same_sample(samples[index], elsewhere[index])
                for index in reversed(samples)
            ),
            f"A sample of {name} is another one when it is read again, or from a pickled split. "
            f"Expected it to depend on its index alone.",
            read="Split",
        )


def splits_of(component: type[Any], config: Any) -> Splits:
    """Return the splits, loaded anew."""
    splits: Splits = component(config, seed=0).load()
    return splits


def _pickled(split: Split, name: str) -> Split:
    try:
        copy: Split = pickle.loads(pickle.dumps(split))
    except Exception as error:  # pickle and a stranger's code may raise anything
        raise AssertionError(
            f"The split {name} cannot be pickled: {error}. Expected one that worker processes can "
            f"read from, without open files and local functions. See fdmo_core.Split."
        ) from error
    return copy


def looked_at(split: Split) -> dict[int, Sample]:
    """Return samples spread over a split, by index; none of an empty one."""
    size = len(split.labels)
    return {index: split[index] for index in range(0, size, max(1, size // LOOKED_AT))}


def same_sample(one: Sample, other: Sample) -> bool:
    """Return whether two samples are equal, pixel by pixel."""
    pairs = [
        (one.image, other.image),
        (one.landmarks, other.landmarks),
        (one.features, other.features),
    ]
    same = all(
        (left is None and right is None)
        or (left is not None and right is not None and np.array_equal(left, right))
        for left, right in pairs
    )
    return same and (one.label, one.box) == (other.label, other.box)


CHECKS: tuple[Check, ...] = (
    check_is_built_from_its_config,
    check_has_named_classes,
    check_labels_are_class_indices,
    check_images_are_rgb,
    check_features_fit_the_streams,
    check_landmarks_fit_their_names,
    check_splits_share_no_source,
    check_loads_the_same_twice,
    check_reads_in_any_order,
)
