"""Makes golden examples from real images, by the training path and torch."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fdmo_core.preprocessing import prepare
from fdmo_core.samples import Sample
from fdmo_export.contract import OUTPUT_FEATURES
from fdmo_export.golden import LONGEST_SIDE, GoldenExample
from fdmo_export.graph import DeployedClassifier
from fdmo_export.reference import answer_samples


def make_golden(deployed: DeployedClassifier, samples: Sequence[Sample]) -> list[GoldenExample]:
    """Return an example for each sample: its box alone, at most 256 pixels wide and high.

    Args:
        deployed: On the CPU, in evaluation mode.
        samples: Of one kind, images or features.
    """
    cut = [_whole(one) for one in samples]
    answers = answer_samples(deployed, cut)
    return [
        GoldenExample(
            _input(deployed, one),
            {name: value[row] for name, value in answers.items() if name != OUTPUT_FEATURES},
        )
        for row, one in enumerate(cut)
    ]


def _input(deployed: DeployedClassifier, sample: Sample) -> NDArray[np.generic]:
    if sample.features is None and deployed.preprocessing:
        return sample.image
    return np.asarray(prepare(sample, deployed.image_size).image)


def _whole(sample: Sample) -> Sample:
    """Return the sample cropped to its box, scaled down where it is large."""
    if sample.features is not None:
        return sample
    height, width = sample.image.shape[:2]
    left, top, right, bottom = sample.box or (0, 0, width, height)
    picture = Image.fromarray(sample.image).crop(
        (
            max(0, math.floor(left)),
            max(0, math.floor(top)),
            min(width, math.ceil(right)),
            min(height, math.ceil(bottom)),
        )
    )
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return Sample(np.array(picture), sample.label)
