"""The samples of one split of a file of features."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fdmo_core import NO_IMAGE, Sample
from fdmo_plugins.datasets.features.stored import Array


@dataclass(frozen=True)
class FeatureSplit:
    """Rows of features, read when they are asked for.

    Attributes:
        features: Of all splits. Shape ``(N, F)``.
        sources: What each row of all splits is of, as UTF-8 padded with zeros, ``(N, L)``; None
            where the file does not say.
        rows: Row of each sample. Shape ``(N',)``, int64.
        labels: Shape ``(N',)``, int64.
        file: Name of the file.
    """

    features: Array
    sources: NDArray[np.uint8] | None
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    file: str

    def __getitem__(self, index: int) -> Sample:
        """Return one row."""
        features = self.features[int(self.rows[index])].astype(np.float32)  # a copy
        return Sample(NO_IMAGE, int(self.labels[index]), features=features)

    def source(self, index: int) -> str:
        """Return what the file says that the row is of, or else the file and the row, from 0."""
        row = int(self.rows[index])
        if self.sources is None:
            return f"{self.file} row {row}"
        text: bytes = self.sources[row].tobytes()
        return text.rstrip(b"\0").decode("utf-8", "backslashreplace")
