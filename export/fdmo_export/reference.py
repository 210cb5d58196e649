"""What the trained network answers by way of the training path: the reference of every file."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fdmo_core.batches import scale_pixels
from fdmo_core.preprocessing import prepare_all
from fdmo_core.samples import Sample
from fdmo_export.comparison import TOLERANCE
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
    inputs = prepare_all(samples, deployed.image_size)
    where = None
    if deployed.preprocessing:
        places = [place_of(one, deployed.image_size) for one in samples]
        where = Letterbox(*(torch.cat(parts) for parts in zip(*places, strict=True)))
    outputs = deployed.answer(scale_pixels(inputs), deployed.source_prior, torch.tensor(1.0), where)
    return {name: value.numpy() for name, value in zip(deployed.output_names, outputs, strict=True)}


@torch.no_grad()
def settled_landmarks(deployed: DeployedClassifier, inputs: Tensor) -> NDArray[np.bool_]:
    """Return which landmarks rounding cannot move: one cell of the heatmap is clearly the best.

    Args:
        deployed: With a landmark head; on the CPU, in evaluation mode.
        inputs: Letterboxed. Shape ``(B, 3, S, S)``, uint8.

    Returns:
        Shape ``(B, K)``.
    """
    maps = deployed.model.prefix(scale_pixels(inputs))
    heatmaps = deployed.model(maps).shape_stream.landmarks.heatmaps.flatten(start_dim=2)
    best, second = heatmaps.topk(2, dim=2).values.unbind(dim=2)  # (B, K) each
    settled: NDArray[np.bool_] = (
        best - second > TOLERANCE * heatmaps.abs().max().clamp(min=1)
    ).numpy()
    return settled


def box_of(sample: Sample) -> tuple[float, float, float, float]:
    """Return the sample's box, or the one that is clipped to the whole image."""
    return sample.box or WHOLE_IMAGE


def place_of(sample: Sample, image_size: int) -> Letterbox:
    """Return where a sample's box lies in the square input, for a batch of this one."""
    height, width = sample.image.shape[:2]
    return fit_letterbox(
        torch.tensor([box_of(sample)]), width=width, height=height, image_size=image_size
    )
