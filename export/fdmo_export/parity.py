"""Does the exported file answer as the trained network does?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fdmo_core.errors import ExportError
from fdmo_core.preprocessing import prepare, prepare_all
from fdmo_core.samples import Sample
from fdmo_export.comparison import TOLERANCE, Comparison, differences
from fdmo_export.contract import OUTPUT_PROBABILITIES, WHOLE_IMAGE
from fdmo_export.graph import DeployedClassifier
from fdmo_export.letterbox import letterbox
from fdmo_export.reference import box_of, place_of, settled_landmarks
from fdmo_export.runtime import OnnxClassifier
from fdmo_export.validation import Scored

BATCH_SIZES = (1, 3, 17)  # none is the size that was traced
COMPARED_IMAGES = 200  # whole images at most
IMAGE_TOLERANCE = 0.02  # in a probability: pixels that preprocessing rounds to the other side


@dataclass(frozen=True)
class ImageParity:
    """Whole images, each of its own size: by the training path, and as they are by the file.

    Attributes:
        images: How many.
        label_flips: Images whose best class differs.
        largest_difference: In a probability of an image.
        mean_difference: The mean over images of the largest difference in a probability.
        other_pixels: Share of the square input's values that the two ways round differently.
        largest_pixel_difference: Of these values, of 255.
    """

    images: int
    label_flips: int
    largest_difference: float
    mean_difference: float
    other_pixels: float
    largest_pixel_difference: int

    @property
    def agrees(self) -> bool:
        """Whether every probability is within the tolerance.

        Where it is, a class flips only if the two best ones were within twice the tolerance.
        """
        return self.largest_difference <= IMAGE_TOLERANCE  # NaN is not

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return asdict(self) | {"agrees": self.agrees}


@dataclass(frozen=True)
class Parity:
    """How a file compares with the trained network.

    Attributes:
        split: Where the samples come from.
        network: The same letterboxed pixels, or features, given to both.
        images: Whole images. None of a file that takes none.
    """

    split: str
    network: list[Comparison]
    images: ImageParity | None

    def as_dict(self) -> dict[str, Any]:
        """Return the comparisons as plain data."""
        return {
            "split": self.split,
            "network": [one.as_dict() for one in self.network],
            "images": None if self.images is None else self.images.as_dict(),
        }


def compare(
    deployed: DeployedClassifier,
    path: Path,
    samples: Sequence[Sample],
    scored: Scored,
    *,
    split: str,
) -> Parity:
    """Return how far the file and the network differ.

    Args:
        deployed: The network, on the CPU.
        path: The ONNX file.
        samples: At least one; repeated for batches of 1, 3 and 17.
        scored: Images with what the network says of them by the training path; up to 200, evenly
            spread, are given to the file.
        split: Where both come from.
    """
    classifier = OnnxClassifier(path, provider="cpu")
    inputs = prepare_all(samples, deployed.image_size)
    rows = torch.arange(sum(BATCH_SIZES)) % len(inputs)
    network = [
        _compare_batch(deployed, classifier, inputs[part]) for part in rows.split(BATCH_SIZES)
    ]
    images = _compare_images(deployed, classifier, scored) if deployed.preprocessing else None
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
    settled = settled_landmarks(deployed, inputs) if deployed.num_landmarks else None
    return differences(expected, classifier.run(batch.numpy()), settled=settled)


def _compare_images(
    deployed: DeployedClassifier, classifier: OnnxClassifier, scored: Scored
) -> ImageParity:
    chosen = np.linspace(0, len(scored.rows) - 1, min(COMPARED_IMAGES, len(scored.rows)))
    flips, largest, pixels = [], [], []
    for index in chosen.astype(int):
        sample = scored.sample(index)
        expected = scored.logits[index].softmax(dim=0).numpy()
        boxes = np.array([box_of(sample)], dtype=np.float32)
        answer = classifier.run(sample.image[np.newaxis], boxes=boxes)
        found = answer[OUTPUT_PROBABILITIES][0]
        flips.append(found.argmax() != expected.argmax())
        largest.append(np.abs(found - expected).max())
        pixels.append(_pixel_differences(deployed, sample))
    return ImageParity(
        images=len(chosen),
        label_flips=int(np.sum(flips)),
        largest_difference=float(np.max(largest)),
        mean_difference=float(np.mean(largest)),
        other_pixels=float(np.mean([np.mean(one > 0) for one in pixels])),
        largest_pixel_difference=int(np.max(pixels)),
    )


def _pixel_differences(deployed: DeployedClassifier, sample: Sample) -> NDArray[np.float32]:
    """Return how far the two letterboxed forms of an image are apart; shape ``(3, S, S)``."""
    size = deployed.image_size
    in_graph = letterbox(torch.from_numpy(sample.image[np.newaxis]), place_of(sample, size), size)
    return (in_graph[0] - prepare(sample, size).image.float()).abs().numpy()


def require_agreement(parity: Parity, *, exact: bool) -> None:
    """Raise an ExportError that lists everything on which file and network disagree.

    Args:
        parity: What was compared.
        exact: Whether the file is to compute as precisely as the network; a lower precision has a
            gate of its own.
    """
    if not exact:
        return
    lines = [
        f"batch of {one.batch_size}: {one.label_flips} class(es) flip; largest differences "
        + ", ".join(f"{name} {value:.1e}" for name, value in one.differences.items())
        for one in parity.network
        if not one.agrees
    ]
    if parity.images and not parity.images.agrees:
        lines.append(
            f"{parity.images.images} whole images: {parity.images.label_flips} class(es) flip; "
            f"largest difference of a probability {parity.images.largest_difference:.1e}"
        )
    if lines:
        raise ExportError(
            "The exported file disagrees with the trained network:\n  "
            + "\n  ".join(lines)
            + f"\nExpected no flip and differences of at most {TOLERANCE:.0e}, and for whole "
            f"images, where preprocessing rounds, {IMAGE_TOLERANCE:g} in a probability. Nothing "
            f"was written; report this with the run's environment.json."
        )
