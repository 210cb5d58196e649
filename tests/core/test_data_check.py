import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fdmo_core import DataError, Sample, Splits, Visibility
from fdmo_core.data_check import check_data
from fdmo_core.data_report import DataReport
from fdmo_core.images import read_rgb
from fdmo_core.journal import Journal, Progress


@dataclass(frozen=True)
class Listed:
    """Samples in a list; an exception in it is raised when it is read."""

    samples: list[Any]
    name: str

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.array([getattr(one, "label", 0) for one in self.samples], dtype=np.int64)

    def __getitem__(self, index: int) -> Sample:
        if isinstance(self.samples[index], Exception):
            raise self.samples[index]
        sample: Sample = self.samples[index]
        return sample

    def source(self, index: int) -> str:
        return f"{self.name}{index}"


def splits_of(
    train: list[Any], val: list[Any] | None = None, test: list[Any] | None = None, **changes: Any
) -> Splits:
    parts = {"train": Listed(train, "a"), "val": Listed(val or [], "b")}
    return Splits(
        ("bag", "coat"), parts["train"], parts["val"], Listed(test or [], "c"), "0", **changes
    )


def image(red: int, label: int = 0, **known: Any) -> Sample:
    return Sample(np.full((6, 8, 3), (red, 0, 0), dtype=np.uint8), label, **known)


def check(splits: Splits, workers: int = 0) -> DataReport:
    return check_data(splits, workers=workers, journal=Journal())


def found(report: DataReport) -> dict[str, list[str]]:
    """Return the reasons by kind, for the kinds that there are."""
    return {
        kind: [fault.reason for fault in faults]
        for kind, faults in report.faults.listed.items()
        if faults
    }


def test_good_data_has_no_fault() -> None:
    landmarks = np.array([(0, 0, Visibility.VISIBLE), (9, 9, Visibility.TRUNCATED)], np.float32)

    report = check(
        splits_of(
            [image(1, 0, box=(0, 0, 8, 6)), image(2, 1, landmarks=landmarks), image(3, 1)],
            test=[image(4, 0), image(5, 1)],
        )
    )

    assert found(report) == {}
    assert report.leave_out == {"train": [], "val": [], "test": []}
    assert {name: one.tolist() for name, one in report.counts.items()} == {
        "train": [1, 2],
        "val": [0, 0],
        "test": [1, 1],
    }
    assert report.imbalance_ratio == 2


def test_a_sample_that_cannot_be_read_is_an_error_whatever_is_raised() -> None:
    broken = Sample(np.zeros((6, 8), dtype=np.uint8), 0)
    train = [image(1), DataError("Broken."), KeyError("x"), broken, image(2, 1)]

    report = check(splits_of(train))

    assert found(report) == {
        "unreadable": [
            "Broken.",
            "KeyError: 'x'",
            "The image has shape (6, 8) and dtype uint8. Expected (H, W, 3) and uint8. Correct the "
            "data set.",
        ]
    }
    assert report.faults.listed["unreadable"][0].where == [("train", "a1")]
    assert report.leave_out["train"] == ["a1", "a2", "a3"]


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((2, 2, 2, 4), "empty-box"),
        ((8, 0, 12, 6), "empty-box"),
        ((float("nan"), 0, 4, 4), "empty-box"),
        ((0, 0, float("inf"), 4), "empty-box"),
        ((-1, 0, 4, 4), "box-outside"),
        ((0, 0, 8, 6.5), "box-outside"),
    ],
)
def test_a_box_is_held_against_its_image(box: tuple[float, ...], kind: str) -> None:
    report = check(splits_of([image(1, box=box), image(2, 1)]))

    assert list(found(report)) == [kind]
    assert report.leave_out["train"] == (["a0"] if kind == "empty-box" else [])


def test_landmarks_in_the_picture_are_held_against_its_size() -> None:
    landmarks = np.array(
        [
            (-0.5, 5.5, Visibility.VISIBLE),
            (8, 2, Visibility.OCCLUDED),
            (np.nan, 2, Visibility.VISIBLE),
            (90, 90, Visibility.TRUNCATED),
        ],
        dtype=np.float32,
    )

    report = check(splits_of([image(1, landmarks=landmarks), image(2, 1)]))

    assert found(report) == {
        "landmark-outside": [
            "Landmarks outside the image of 8 x 6 pixels, by index: 1 at (8, 2), 2 at (nan, 2)."
        ]
    }
    assert report.faults.count(errors=True) == 0


def test_one_image_in_two_splits_is_an_error_and_test_keeps_it() -> None:
    report = check(
        splits_of(
            [image(1), image(2, 1), image(3, 1)], [image(2, 1), image(4)], [image(2, 1), image(5)]
        )
    )

    assert found(report) == {"across-splits": ["3 equal samples in the splits train, val, test."]}
    assert report.faults.listed["across-splits"][0].where == [
        ("train", "a1"),
        ("val", "b0"),
        ("test", "c0"),
    ]
    assert report.leave_out == {"train": ["a1"], "val": ["b0"], "test": []}


def test_one_image_under_two_labels_is_an_error_and_all_go() -> None:
    report = check(splits_of([image(1), image(2, 1), image(1, 1)]))

    assert found(report) == {"two-labels": ["2 equal samples of the classes bag, coat."]}
    assert report.leave_out["train"] == ["a0", "a2"]


def test_one_image_twice_in_a_split_is_a_warning() -> None:
    report = check(splits_of([image(1), image(1), image(1), image(2, 1)]))

    assert found(report) == {"repeated": ["3 equal samples."]}
    assert report.leave_out["train"] == []


def test_equal_samples_have_equal_pixels_shapes_and_boxes() -> None:
    turned = Sample(np.ascontiguousarray(image(1).image.reshape(8, 6, 3)), 0)
    train = [image(1), turned, image(1, box=(0, 0, 4, 4)), image(1, 1, box=(0, 0, 4, 5))]

    assert found(check(splits_of(train))) == {}
    assert list(found(check(splits_of([*train, image(1, box=(0, 0, 8, 6))])))) == ["repeated"]


def test_samples_that_cannot_be_read_are_not_equal_to_each_other() -> None:
    broken = DataError("Broken.")

    report = check(splits_of([broken, image(1), image(2, 1)], test=[broken, broken]))

    assert set(found(report)) == {"unreadable", "no-image"}


def test_equal_samples_are_those_that_a_plain_loop_finds() -> None:
    reds = np.random.default_rng(0).integers(0, 30, (3, 20)).tolist()
    train, val, test = ([image(red, red % 2) for red in split] for split in reds)

    report = check(splits_of(train, val, test))

    across = [red for red in range(30) if sum(red in split for split in reds) > 1]
    within = [red for red in range(30) if any(split.count(red) > 1 for split in reds)]
    assert report.faults.counts["across-splits"] == len(across) > 0
    assert report.faults.counts["repeated"] == len(within) > 0


def test_what_the_data_set_left_out_and_said_of_classes_is_reported() -> None:
    splits = splits_of([image(1), image(2, 1)], [image(3)], skipped={"x.jpg": "Broken."})

    assert found(check(splits)) == {
        "skipped": ["x.jpg: Broken."],
        "no-image": ["Class 'coat' in val."],
    }


def test_a_class_that_was_left_out_is_a_warning_and_a_file_an_error() -> None:
    reason = "The class has no usable training row and was left out."
    skipped = dict.fromkeys(("hat/", "class hat", "category Hat"), reason) | {"hat": "Broken."}

    report = check(splits_of([image(1), image(2, 1)], skipped=skipped))

    assert (report.faults.count(errors=True), report.faults.count(errors=False)) == (1, 3)
    assert found(report)["skipped"] == ["hat: Broken."]


def test_class_names_that_look_alike_are_a_warning() -> None:
    train = [image(1), image(2, 1), image(3, 2)]

    report = check(replace(splits_of(train), class_names=("Bag", "coat", " bag")))

    assert found(report) == {"similar-names": ["Classes 'Bag', ' bag'."]}


def test_workers_find_the_same() -> None:
    train = [image(1), DataError("Broken."), image(1, 1), *(image(n) for n in range(3, 40))]
    splits = splits_of(train, test=[image(3), image(90, 1)])

    assert check(splits, workers=2).as_dict() == check(splits).as_dict()


def test_progress_is_told_by_split() -> None:
    seen: list[Progress] = []

    check_data(
        splits_of([image(n, n % 2) for n in range(20)], [image(30)]),
        workers=0,
        journal=Journal(show=seen.append),
    )

    assert [(one.phase, one.done, one.total) for one in seen] == [
        ("check train", 16, 20),
        ("check train", 20, 20),
        ("check val", 1, 1),
    ]


def save_good(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 65535, (6, 8), dtype=np.uint16)
    colours = [Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)) for _ in range(3)]
    Image.fromarray(grey).save(folder / "16-bit.png")
    colours[0].convert("CMYK").save(folder / "cmyk.jpg")
    colours[1].save(folder / "animated.gif", save_all=True, append_images=colours)
    colours[2].save(folder / "plain.png")
    return sorted(folder.iterdir())


def save_bad(folder: Path) -> list[Path]:
    (folder / "empty.jpg").write_bytes(b"")
    Image.effect_noise((40, 40), 60).save(folder / "whole.png")
    (folder / "truncated.png").write_bytes((folder / "whole.png").read_bytes()[:300])
    (folder / "whole.png").unlink()
    (folder / "text.jpg").write_text("no image")
    return sorted(folder.iterdir())


@dataclass(frozen=True)
class Files:
    paths: list[Path]

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.arange(len(self.paths)) % 2

    def __getitem__(self, index: int) -> Sample:
        return Sample(read_rgb(self.paths[index], max_pixels=10_000), index % 2)

    def source(self, index: int) -> str:
        return self.paths[index].name


@pytest.mark.parametrize(
    ("save", "expected"),
    [(save_good, []), (save_bad, ["empty.jpg", "text.jpg", "truncated.png"])],
)
def test_files_of_every_kind_are_read_and_broken_ones_reported(
    tmp_path: Path, save: Callable[[Path], list[Path]], expected: list[str]
) -> None:
    files = Files(save(tmp_path))

    report = check(Splits(("bag", "coat"), files, Listed([], "b"), Listed([], "c"), "0"))

    assert report.leave_out["train"] == expected
    assert set(found(report)) == ({"unreadable"} if expected else set())


@dataclass(frozen=True)
class Drawn:
    size: int
    first: int

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.arange(self.size) % 2

    def __getitem__(self, index: int) -> Sample:
        pixels = np.frombuffer((self.first + index).to_bytes(12), dtype=np.uint8)
        return Sample(pixels.reshape(2, 2, 3), index % 2)

    def source(self, index: int) -> str:
        return f"{self.first + index}"


def test_memory_is_a_few_bytes_a_sample() -> None:
    count = 3000
    splits = Splits(("a", "b"), Drawn(count, 0), Drawn(0, 0), Drawn(0, 0), "0")
    check(Splits(("a", "b"), Drawn(2, 0), Drawn(0, 0), Drawn(0, 0), "0"))  # imports, caches
    tracemalloc.start()

    check(splits)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 120 * count + 60_000  # 80 a sample, 8 of its label, and one part of samples


def test_features_are_refused() -> None:
    with pytest.raises(DataError, match=r"^The data are features\. Expected images, of which each"):
        check(splits_of([image(1)], stream_dims=(3,)))
