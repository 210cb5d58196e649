"""What the trained network answers by way of the training path: the reference of every file."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fdmo_core.batches import scale_pixels
from fdmo_core.preprocessing import prepare
from fdmo_core.samples import Sample
from fdmo_export.contract import WHOLE_IMAGE
from fdmo_export.graph import DeployedClassifier
from fdmo_export.letterbox import Letterbox, fit_letterbox


@torch.no_grad()
def answer_samples(
    deployed: DeployedClassifier, samples: Sequence[Sample]
) -> dict[str, NDArray[np.float32]]:
    """Return the outputs by name, computed by torch from samples prepared as in training.

    Args:
        deployed: On the CPU, in evaluation mode.
        samples: Of one kind, images or features.
    """
    inputs = torch.stack([prepare(one, deployed.image_size).image for one in samples])
    where = _places(deployed, samples) if deployed.preprocessing else None
    outputs = deployed.answer(scale_pixels(inputs), deployed.source_prior, torch.tensor(1.0), where)
    return {name: value.numpy() for name, value in zip(deployed.output_names, outputs, strict=True)}


def box_of(sample: Sample) -> tuple[float, float, float, float]:
    """Return the sample's box, or the one that is clipped to the whole image."""
    return sample.box or WHOLE_IMAGE


def _places(deployed: DeployedClassifier, samples: Sequence[Sample]) -> Letterbox:
    places = [
        fit_letterbox(
            torch.tensor([box_of(one)]),
            width=one.image.shape[1],
            height=one.image.shape[0],
            image_size=deployed.image_size,
        )
        for one in samples
    ]
    return Letterbox(*(torch.cat(parts) for parts in zip(*places, strict=True)))
