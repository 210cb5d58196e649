import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fdmo_core import DataError, Sample, Splits
from fdmo_core.data_check import check_data
from fdmo_core.data_exclusion import exclude_samples
from fdmo_core.files import write_json
from fdmo_core.journal import Journal


@dataclass(frozen=True)
class Numbered:
    """Images whose red is their number; a negative one cannot be read."""

    reds: tuple[int, ...]

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.arange(len(self.reds)) % 2

    def __getitem__(self, index: int) -> Sample:
        if self.reds[index] < 0:
            raise DataError("Broken.")
        return Sample(np.full((2, 2, 3), self.reds[index], dtype=np.uint8), index % 2)

    def source(self, index: int) -> str:
        return f"image {self.reds[index]}"


SPLITS = Splits(
    ("a", "b"), Numbered((0, 1, -2, 3, 4)), Numbered((5, 6)), Numbered((3, 7, -8)), "digest"
)


def report_of(folder: Path, **leave_out: list[str]) -> Path:
    content = {"format": 1, "leave_out": {"train": [], "val": [], "test": [], **leave_out}}
    (folder / "report.json").write_text(json.dumps(content))
    return folder / "report.json"


def test_the_named_samples_are_left_out_of_their_split(tmp_path: Path) -> None:
    report = report_of(tmp_path, train=["image 1", "image 3"], test=["image 3"])

    splits = exclude_samples(SPLITS, report)

    train = pickle.loads(pickle.dumps(splits.train))
    assert [train.source(index) for index in range(3)] == ["image 0", "image -2", "image 4"]
    assert train.labels.tolist() == [0, 0, 0]
    assert (train[2].image == 4).all()
    assert splits.counts("test").tolist() == [1, 1]
    assert splits.val is SPLITS.val


def test_they_are_told_among_what_was_skipped(tmp_path: Path) -> None:
    splits = exclude_samples(SPLITS, report_of(tmp_path, train=["image 1"]))

    assert splits.skipped == {"train: image 1": "Left out by data.exclude."}


def test_the_digest_follows_what_is_left_out(tmp_path: Path) -> None:
    digests = [
        exclude_samples(SPLITS, report_of(tmp_path, train=names)).digest
        for names in ([], ["image 1"], ["image 3", "image 1"], ["image 1", "image 3"])
    ]

    assert digests[2] == digests[3]
    assert len({*digests, SPLITS.digest}) == 4


def test_without_what_a_check_leaves_out_no_error_is_left(tmp_path: Path) -> None:
    before = check_data(SPLITS, workers=0, journal=Journal())
    write_json(tmp_path / "report.json", before.as_dict())

    excluded = exclude_samples(SPLITS, tmp_path / "report.json")

    after = check_data(excluded, workers=0, journal=Journal())
    kinds = {kind for kind, count in before.faults.counts.items() if count}
    assert kinds == {"unreadable", "two-labels", "across-splits"}
    assert {kind for kind, count in after.faults.counts.items() if count} == {"skipped", "no-image"}


def test_a_report_of_other_data_is_refused(tmp_path: Path) -> None:
    report = report_of(tmp_path, train=["image 1", "image 9", "image 5"])

    with pytest.raises(DataError) as caught:
        exclude_samples(SPLITS, report)

    assert str(caught.value) == (
        f"{report} leaves out 2 sample(s) that the data does not have, such as 'image 5'. Expected "
        f"a report of this data. Run 'fdmo data check' again, or clear data.exclude."
    )


@pytest.mark.parametrize(
    "content",
    [
        b"no json",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b'{"format": 1}',
        b'{"format": 2, "leave_out": {"train": [], "val": [], "test": []}}',
        b'{"format": 1, "leave_out": {"train": []}}',
        b'{"format": 1, "leave_out": {"train": [1], "val": [], "test": []}}',
    ],
)
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "report.json").write_bytes(content)

    with pytest.raises(DataError, match=r"report\.json is no report\. Expected JSON of format 1"):
        exclude_samples(SPLITS, tmp_path / "report.json")


def test_a_missing_report_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json cannot be opened \(No such file or directory"):
        exclude_samples(SPLITS, tmp_path / "none.json")
