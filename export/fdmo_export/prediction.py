"""The answer for one image."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fdmo_export.contract import OUTPUT_LANDMARKS, OUTPUT_PROBABILITIES, OUTPUT_VISIBILITY
from fdmo_export.metadata import Metadata


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What an image shows.

    Attributes:
        label: Index of the likeliest class.
        class_name: Its name.
        probability: Its probability.
        probabilities: Of all classes, in label order. Shape ``(C,)``, float32.
        is_certain: Whether the probability reaches the class's threshold in the metadata, from
            which on nine of ten answers were right. It was measured with the dials as they are
            by default.
        landmarks: x and y in pixels of the image, or None without a landmark head. Shape
            ``(K, 2)``, float32.
        visibility: Probability that each landmark can be seen, likewise. Shape ``(K,)``, float32.
    """

    label: int
    class_name: str
    probability: float
    probabilities: NDArray[np.float32]
    is_certain: bool
    landmarks: NDArray[np.float32] | None
    visibility: NDArray[np.float32] | None


def make_predictions(
    outputs: Mapping[str, NDArray[np.float32]], metadata: Metadata
) -> list[Prediction]:
    """Return the answers for a batch.

    Args:
        outputs: Of the contract, by name; landmarks and visibility where there are any.
        metadata: Of the file.
    """
    probabilities = outputs[OUTPUT_PROBABILITIES]
    nothing = [None] * len(probabilities)
    thresholds = metadata.thresholds
    found = []
    for row, landmarks, visibility in zip(
        probabilities,
        outputs.get(OUTPUT_LANDMARKS, nothing),
        outputs.get(OUTPUT_VISIBILITY, nothing),
        strict=True,
    ):
        label = int(row.argmax())
        probability = float(row[label])
        threshold = thresholds[label]
        is_certain = threshold is not None and probability >= threshold
        name = metadata.class_names[label]
        found.append(Prediction(label, name, probability, row, is_certain, landmarks, visibility))
    return found
