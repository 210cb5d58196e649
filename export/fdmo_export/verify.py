"""Does the exported file answer as the trained network does?"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fdmo_core.errors import ExportError
from fdmo_export.contract import OUTPUT_PROBABILITIES
from fdmo_export.graph import DeployedClassifier
from fdmo_export.runtime import OnnxClassifier

BATCH_SIZES = (1, 3, 17)  # none is the size that was traced
TOLERANCE = 1e-4  # float32 sums in another order; relative for outputs that are not within 1


@dataclass(frozen=True)
class Comparison:
    """One batch, answered by both.

    Attributes:
        batch_size: Samples.
        label_flips: Samples whose best class differs.
        differences: Largest difference of each output, relative to its largest value where that
            is above 1.
    """

    batch_size: int
    label_flips: int
    differences: dict[str, float]

    @property
    def agrees(self) -> bool:
        """Whether no class flips and every output is within the tolerance."""
        within = all(value <= TOLERANCE for value in self.differences.values())  # NaN is not
        return self.label_flips == 0 and within

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return asdict(self) | {"agrees": self.agrees}


def compare(deployed: DeployedClassifier, path: Path, inputs: Tensor) -> list[Comparison]:
    """Return how far the file and the network differ on batches of 1, 3 and 17 samples.

    Args:
        deployed: The network, on the CPU.
        path: The ONNX file.
        inputs: At least one real image, repeated where there are fewer than 21. Shape
            ``(R, 3, S, S)``, uint8; or features, shape ``(R, F)``, float32.
    """
    classifier = OnnxClassifier(path)
    rows = torch.arange(sum(BATCH_SIZES)) % len(inputs)
    return [_compare_batch(deployed, classifier, inputs[part]) for part in rows.split(BATCH_SIZES)]


def _compare_batch(
    deployed: DeployedClassifier, classifier: OnnxClassifier, inputs: Tensor
) -> Comparison:
    with torch.no_grad():
        answers = (one.numpy() for one in deployed(inputs))
        expected = dict(zip(deployed.output_names, answers, strict=True))
    found = classifier.run(inputs.numpy())
    best = [one[OUTPUT_PROBABILITIES].argmax(axis=1) for one in (expected, found)]
    return Comparison(
        batch_size=len(inputs),
        label_flips=int((best[0] != best[1]).sum()),
        differences={
            name: float(
                np.abs(found[name] - expected[name]).max()
                / max(1.0, float(np.abs(expected[name]).max()))
            )
            for name in deployed.output_names
        },
    )


def require_agreement(comparisons: list[Comparison]) -> None:
    """Raise an ExportError that lists every batch on which file and network disagree."""
    failures = [one for one in comparisons if not one.agrees]
    if failures:
        lines = "\n  ".join(
            f"batch of {one.batch_size}: {one.label_flips} class(es) flip; largest differences "
            + ", ".join(f"{name} {value:.1e}" for name, value in one.differences.items())
            for one in failures
        )
        raise ExportError(
            f"The exported file disagrees with the trained network:\n  {lines}\nExpected no flip "
            f"and differences of at most {TOLERANCE:.0e}. Nothing was written; report this with "
            f"the run's environment.json."
        )
