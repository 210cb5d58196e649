"""What a component gives for a sample does not depend on the batch around it."""

from typing import Any

import torch

from fdmo_core.testing.expectations import expect
from fdmo_core.testing.specimens import BATCH, specimen_of

TOLERANCE = 1e-4  # of the largest value: sums may be added up in another order in larger batches


def check_each_sample_is_on_its_own(component: type[Any], config: Any) -> None:
    """In evaluation mode what a sample gets does not depend on the other samples of its batch."""
    found = specimen_of(component, config)
    together = found.outputs()
    alone = [found.outputs(slice(row, row + 1)) for row in range(BATCH)]
    for one, parts in zip(together, zip(*alone, strict=True), strict=True):
        expect(
            (one - torch.cat(parts)).abs().max() <= TOLERANCE * one.abs().max(),
            "In evaluation mode what a sample gets depends on the other samples of its batch. "
            "Expected batch norm to use its running statistics, and nothing else to mix samples.",
            read=found.read,
        )
