"""Leaves out the samples that a report of ``fdmo data check`` names."""

import json
from collections.abc import Set
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdmo_core.data_report import REPORT_FORMAT
from fdmo_core.errors import DataError
from fdmo_core.samples import Sample, Split, Splits

MAX_REPORT_BYTES = 2**29
REASON = "Left out by data.exclude."


@dataclass(frozen=True)
class KeptRows:
    """Some samples of a split, with their labels."""

    split: Split
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]

    def __getitem__(self, index: int) -> Sample:
        return self.split[int(self.rows[index])]

    def source(self, index: int) -> str:
        """Return what the split calls the sample."""
        return self.split.source(int(self.rows[index]))


def exclude_samples(splits: Splits, report: Path) -> Splits:
    """Return the splits without the samples that a report leaves out, by their sources.

    They are added to ``skipped``, and the digest becomes another one.

    Raises:
        DataError: The file is no report, or one of other data: a sample is not there.
    """
    excluded = _read_sources(report)
    kept: dict[str, Split] = {}
    for name, split in splits.named().items():
        kept[name] = _without(split, excluded[name], report) if excluded[name] else split
    total = blake2b(splits.digest.encode(), digest_size=32)
    total.update(json.dumps({name: sorted(own) for name, own in excluded.items()}).encode())
    left_out = [f"{name}: {source}" for name, own in excluded.items() for source in sorted(own)]
    return replace(
        splits,
        train=kept["train"],
        val=kept["val"],
        test=kept["test"],
        digest=total.hexdigest(),
        skipped={**splits.skipped, **dict.fromkeys(left_out, REASON)},
    )


def _without(split: Split, excluded: Set[str], report: Path) -> Split:
    sources = (split.source(index) for index in range(len(split.labels)))
    goes = np.fromiter((source in excluded for source in sources), dtype=bool)
    rows = np.flatnonzero(~goes)
    missing = excluded - {split.source(index) for index in np.flatnonzero(goes).tolist()}
    if missing:
        raise DataError(
            f"{report} leaves out {len(missing)} sample(s) that the data does not have, such as "
            f"'{min(missing)}'. Expected a report of this data. Run 'fdmo data check' again, or "
            f"clear data.exclude."
        )
    return KeptRows(split, rows, split.labels[rows])


def _read_sources(report: Path) -> dict[str, Set[str]]:
    """Return the sources that a report leaves out, by split."""
    try:
        with report.open("rb") as file:
            text = file.read(MAX_REPORT_BYTES + 1)
        content = json.loads(text) if len(text) <= MAX_REPORT_BYTES else None
    except OSError as error:
        raise DataError(
            f"{report} cannot be opened ({error.strerror}). Expected a report of 'fdmo data "
            f"check'. Correct data.exclude."
        ) from error
    except (ValueError, RecursionError):  # no JSON, or no UTF-8
        content = None
    if not (isinstance(content, dict) and content.get("format") == REPORT_FORMAT):
        raise _no_report(report)
    by_split = content.get("leave_out")
    if not (isinstance(by_split, dict) and by_split.keys() == {"train", "val", "test"}):
        raise _no_report(report)
    for sources in by_split.values():
        if not (isinstance(sources, list) and all(isinstance(one, str) for one in sources)):
            raise _no_report(report)
    return {name: set(sources) for name, sources in by_split.items()}


def _no_report(report: Path) -> DataError:
    return DataError(
        f"{report} is no report. Expected JSON of format {REPORT_FORMAT} with lists of train, val "
        f"and test in leave_out. Write it with 'fdmo data check ... --out {report}'."
    )
