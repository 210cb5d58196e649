"""Does the exported file answer as the trained network does?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fdmo_core.errors import ExportError
from fdmo_core.preprocessing import prepare
from fdmo_core.samples import Sample
from fdmo_export.contract import OUTPUT_PROBABILITIES, WHOLE_IMAGE
from fdmo_export.graph import DeployedClassifier
from fdmo_export.reference import answer_samples, box_of
from fdmo_export.runtime import OnnxClassifier

BATCH_SIZES = (1, 3, 17)  # none is the size that was traced
TOLERANCE = 1e-4  # float32 sums in another order; relative for outputs that are not within 1
IMAGE_TOLERANCE = 0.02  # in a probability: pixels that preprocessing rounds to the other side


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


@dataclass(frozen=True)
class Parity:
    """How a file compares with the trained network.

    Attributes:
        split: Where the samples come from.
        network: The same letterboxed pixels, or features, given to both.
        images: Whole images, one by one: by the training path to the network, as they are to the
            file. None of a file that takes no whole images.
    """

    split: str
    network: list[Comparison]
    images: Comparison | None

    def as_dict(self) -> dict[str, Any]:
        """Return the comparisons as plain data."""
        return {
            "split": self.split,
            "network": [one.as_dict() for one in self.network],
            "images": None if self.images is None else asdict(self.images),
        }


def compare(
    deployed: DeployedClassifier, path: Path, samples: Sequence[Sample], *, split: str
) -> Parity:
    """Return how far the file and the network differ.

    Args:
        deployed: The network, on the CPU.
        path: The ONNX file.
        samples: At least one; repeated for batches of 1, 3 and 17.
        split: Where they come from.
    """
    classifier = OnnxClassifier(path)
    inputs = torch.stack([prepare(one, deployed.image_size).image for one in samples])
    rows = torch.arange(sum(BATCH_SIZES)) % len(inputs)
    network = [
        _compare_batch(deployed, classifier, inputs[part]) for part in rows.split(BATCH_SIZES)
    ]
    images = _compare_images(deployed, classifier, samples) if deployed.preprocessing else None
    return Parity(split, network, images)


def _compare_batch(
    deployed: DeployedClassifier, classifier: OnnxClassifier, inputs: Tensor
) -> Comparison:
    batch = inputs.permute(0, 2, 3, 1) if deployed.preprocessing else inputs
    dials = (deployed.source_prior, torch.tensor(1.0))
    boxes = (torch.tensor([WHOLE_IMAGE]),) if deployed.preprocessing else ()
    with torch.no_grad():
        answers = (one.numpy() for one in deployed(batch, *dials, *boxes))
        expected = dict(zip(deployed.output_names, answers, strict=True))
    return differences(expected, classifier.run(batch.numpy()))


def _compare_images(
    deployed: DeployedClassifier, classifier: OnnxClassifier, samples: Sequence[Sample]
) -> Comparison:
    found = [
        classifier.run(one.image[np.newaxis], boxes=np.array([box_of(one)], dtype=np.float32))
        for one in samples
    ]
    joined = {name: np.concatenate([one[name] for one in found]) for name in deployed.output_names}
    return differences(answer_samples(deployed, samples), joined)


def differences(
    expected: Mapping[str, NDArray[np.float32]], found: Mapping[str, NDArray[np.float32]]
) -> Comparison:
    """Return how far two answers to one batch are apart."""
    best = [one[OUTPUT_PROBABILITIES].argmax(axis=1) for one in (expected, found)]
    return Comparison(
        batch_size=len(best[0]),
        label_flips=int((best[0] != best[1]).sum()),
        differences={
            name: float(np.abs(found[name] - value).max() / max(1.0, float(np.abs(value).max())))
            for name, value in expected.items()
        },
    )


def require_agreement(parity: Parity, *, exact: bool) -> None:
    """Raise an ExportError that lists every batch on which file and network disagree.

    Args:
        parity: What was compared.
        exact: Whether the file is to compute as precisely as the network.
    """
    if not exact:
        return
    failures = [one for one in parity.network if not one.agrees]
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
