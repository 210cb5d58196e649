"""Matches the lists of DeepFashion to one another, image by image."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fdmo_plugins.datasets.annotated.faults import Faults
from fdmo_plugins.datasets.deepfashion.lists import ListedRows, ListFile


@dataclass(frozen=True)
class Images:
    """The images of the list of labels, which the other lists are matched to.

    Attributes:
        label_list: Where they come from.
        indices: Index of each image by its listed path.
        lines: Line of each image in that list. Shape ``(N,)``, int64.
        labels: Id of the category, less one. Shape ``(N,)``, int64.
        faults: Takes what does not match.
    """

    label_list: ListFile
    indices: dict[str, int]
    lines: NDArray[np.int64]
    labels: NDArray[np.int64]
    faults: Faults

    def __len__(self) -> int:
        """Return N."""
        return len(self.indices)

    @cached_property
    def names(self) -> list[str]:
        """The listed paths, in order."""
        return list(self.indices)

    def joined(self, other: ListFile) -> Iterator[tuple[NDArray[np.int64], ListedRows]]:
        """Yield the rows of another list in parts, each with the indices of its images.

        At the end it notes which images the list lacks, or has more than once.
        """
        counts = np.zeros(len(self), dtype=np.int64)
        for part in other.rows():
            rows = np.array([self.indices.get(name, -1) for name in part.names], dtype=np.int64)
            is_known = rows >= 0
            for at in np.flatnonzero(~is_known).tolist():
                self._note_stranger(other, part, at)
            rows = rows[is_known]
            np.add.at(counts, rows, 1)
            names = [self.names[row] for row in rows.tolist()]
            yield rows, ListedRows(part.lines[is_known], names, part.numbers[is_known])
        reasons = {
            row: f"Image '{self.names[row]}' has {counts[row]} rows in {other.path}. Expected one."
            for row in np.flatnonzero(counts != 1).tolist()
        }
        self.note(self.label_list, self.lines, reasons)

    def column(self, other: ListFile, *, width: int) -> NDArray[np.int64]:
        """Return line and numbers of each image in another list. Shape ``(N, 1 + width)``."""
        values = np.full((len(self), 1 + width), -1, dtype=np.int64)
        for rows, part in self.joined(other):
            values[rows, 0] = part.lines
            values[rows, 1:] = part.numbers
        return values

    def note(self, file: ListFile, lines: NDArray[np.int64], reasons: Mapping[int, str]) -> None:
        """Note why images cannot be used, but for those that have a fault already.

        Args:
            file: Where the faults are.
            lines: Line of each image in that file. Shape ``(N,)``.
            reasons: By index of the image.
        """
        for row, reason in reasons.items():
            if self.names[row] not in self.faults.images:
                self.faults.add(file.line(int(lines[row])), reason, image=self.names[row])

    def _note_stranger(self, other: ListFile, part: ListedRows, at: int) -> None:
        if part.names[at] not in self.faults.images:
            self.faults.add(
                other.line(int(part.lines[at])),
                f"Image '{part.names[at]}' is not in {self.label_list.path}. Expected the same "
                f"images in all lists.",
                image=part.names[at],
            )
