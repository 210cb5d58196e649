"""How far two answers to one batch are apart."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdmo_export.contract import OUTPUT_LANDMARKS, OUTPUT_PROBABILITIES

TOLERANCE = 1e-4  # float32 sums in another order; relative for outputs that are not within 1


@dataclass(frozen=True)
class Comparison:
    """One batch, answered by both.

    Attributes:
        batch_size: Samples.
        label_flips: Samples whose best class differs.
        differences: Largest difference of each output, relative to its largest value where that
            is above 1.
        open_landmarks: Landmarks that are left out of ``differences``: two cells of their heatmap
            are as good, and rounding decides between them.
    """

    batch_size: int
    label_flips: int
    differences: dict[str, float]
    open_landmarks: int = 0

    @property
    def agrees(self) -> bool:
        """Whether no class flips and every output is within the tolerance."""
        within = all(value <= TOLERANCE for value in self.differences.values())  # NaN is not
        return self.label_flips == 0 and within

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return asdict(self) | {"agrees": self.agrees}


def differences(
    expected: Mapping[str, NDArray[np.float32]],
    found: Mapping[str, NDArray[np.float32]],
    *,
    settled: NDArray[np.bool_] | None = None,
) -> Comparison:
    """Return how far two answers to one batch are apart.

    Args:
        expected: Outputs by name.
        found: The same outputs.
        settled: Which landmarks are compared; default: all. Shape ``(B, K)``.
    """
    best = [one[OUTPUT_PROBABILITIES].argmax(axis=1) for one in (expected, found)]
    apart = {name: np.abs(found[name] - value) for name, value in expected.items()}
    if settled is not None:
        apart[OUTPUT_LANDMARKS] = np.where(settled[:, :, np.newaxis], apart[OUTPUT_LANDMARKS], 0)
    return Comparison(
        batch_size=len(best[0]),
        label_flips=int((best[0] != best[1]).sum()),
        differences={
            name: float(apart[name].max() / max(1.0, float(np.abs(value).max())))
            for name, value in expected.items()
        },
        open_landmarks=0 if settled is None else int((~settled).sum()),
    )
