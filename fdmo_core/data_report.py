"""What a check of a data set found: counts, faults by kind, and which samples to leave out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fdmo_core.samples import Splits

REPORT_FORMAT = 1
MAX_LISTED = 100_000  # faults of a kind; more are counted only, so that a report can be held


class FaultKind(NamedTuple):
    """One kind of fault.

    Attributes:
        is_error: Whether it stops training or makes figures wrong; otherwise it is a warning.
        meaning: What it says of a sample, a class or a file.
    """

    is_error: bool
    meaning: str


FAULT_KINDS: Mapping[str, FaultKind] = {
    "skipped": FaultKind(True, "file or row left out by the data set itself"),
    "unreadable": FaultKind(True, "image that cannot be read"),
    "empty-box": FaultKind(True, "box without area inside its image"),
    "two-labels": FaultKind(True, "one image under two labels"),
    "across-splits": FaultKind(True, "one image in two splits"),
    "box-outside": FaultKind(False, "box that reaches out of its image, and is clipped"),
    "landmark-outside": FaultKind(False, "landmark in the picture by its visibility only"),
    "repeated": FaultKind(False, "one image more than once in a split"),
    "skipped-class": FaultKind(False, "class left out by the data set: nothing to train on"),
    "similar-names": FaultKind(False, "class names that differ in case or spaces only"),
    "no-image": FaultKind(False, "class without an image in val or test"),
}


class Fault(NamedTuple):
    """One fault.

    Attributes:
        where: Samples as (split, source), or nothing where it is none of samples.
        reason: A sentence.
    """

    where: Sequence[tuple[str, str]]
    reason: str


@dataclass
class Faults:
    """Faults by kind, counted, and listed up to ``MAX_LISTED`` of a kind."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAULT_KINDS, 0))
    listed: dict[str, list[Fault]] = field(default_factory=lambda: {one: [] for one in FAULT_KINDS})

    def add(self, kind: str, fault: Fault) -> None:
        """Count a fault, and list it while there is room."""
        self.counts[kind] += 1
        if len(self.listed[kind]) < MAX_LISTED:
            self.listed[kind].append(fault)

    def count(self, *, errors: bool) -> int:
        """Return the number of errors, or of warnings."""
        return sum(
            count for kind, count in self.counts.items() if FAULT_KINDS[kind].is_error == errors
        )


@dataclass(frozen=True)
class DataReport:
    """What a check found.

    Attributes:
        class_names: In label order.
        counts: Samples per class by split. Shapes ``(C,)``, int64.
        digest: Of the data set as it was opened.
        faults: What is wrong.
        leave_out: Sources by split; without these samples, no error of a sample is left.
    """

    class_names: tuple[str, ...]
    counts: Mapping[str, NDArray[np.int64]]
    digest: str
    faults: Faults
    leave_out: Mapping[str, Sequence[str]]

    @property
    def imbalance_ratio(self) -> float:
        """Training images of the largest class by those of the smallest."""
        return float(self.counts["train"].max() / self.counts["train"].min())

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "format": REPORT_FORMAT,
            "digest": self.digest,
            "class_names": list(self.class_names),
            "counts": {name: counts.tolist() for name, counts in self.counts.items()},
            "imbalance_ratio": self.imbalance_ratio,
            "errors": self.faults.count(errors=True),
            "warnings": self.faults.count(errors=False),
            "faults": {
                kind: {
                    "is_error": FAULT_KINDS[kind].is_error,
                    "count": count,
                    "listed": [
                        {"where": [list(one) for one in fault.where], "reason": fault.reason}
                        for fault in self.faults.listed[kind]
                    ],
                }
                for kind, count in self.faults.counts.items()
            },
            "leave_out": {name: list(sources) for name, sources in self.leave_out.items()},
        }


def add_class_faults(faults: Faults, splits: Splits) -> None:
    """Add what is wrong with a data set as it is opened, before any image is read."""
    for source, reason in splits.skipped.items():
        kind = "skipped-class" if _is_class(source, reason) else "skipped"
        faults.add(kind, Fault([], f"{source}: {reason}"))
    by_form: dict[str, list[str]] = {}
    for name in splits.class_names:
        by_form.setdefault("".join(name.split()).casefold(), []).append(name)
    for names in by_form.values():
        if len(names) > 1:
            faults.add("similar-names", Fault([], f"Classes {', '.join(map(repr, names))}."))
    for split in ("val", "test"):
        counts = splits.counts(split)
        if not counts.any():
            continue  # a split that is not there at all is a choice
        for label in np.flatnonzero(counts == 0).tolist():
            faults.add("no-image", Fault([], f"Class '{splits.class_names[label]}' in {split}."))


def _is_class(source: str, reason: str) -> bool:
    """Return whether an entry of ``skipped`` is a class: data sets agree on how they word it."""
    is_class = source.endswith("/") or source.startswith(("class ", "category "))
    return is_class and reason.endswith("was left out.")
