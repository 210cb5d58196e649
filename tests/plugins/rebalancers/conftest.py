"""What phase 2 hands to a rebalancer, small and the same each time."""

from collections.abc import Callable, Sequence

import pytest
import torch

from fdmo_core import HeldOut, HeldOutSource, Loss, Phase2Parts
from fdmo_core.classifier import LinearClassifier
from fdmo_core.randomness import rng_for, seeded
from fdmo_core.testing.toys import (
    STREAM_DIMS,
    ToyGenerator,
    ToyLoss,
    ToyLossConfig,
    toy_dictionary,
    toy_generator,
    toy_held_out,
)


@pytest.fixture
def make_parts() -> Callable[..., Phase2Parts]:
    """A function that returns the parts for classes of given sizes."""

    def make(
        sizes: Sequence[int] = (40, 12, 4),
        *,
        class_counts: Sequence[int] | None = None,
        loss: Loss | None = None,
        asked: list[HeldOutSource] | None = None,
    ) -> Phase2Parts:
        counts = torch.tensor(class_counts or sizes)
        with seeded(0, "classifier"):
            classifier = LinearClassifier(sum(STREAM_DIMS), len(sizes))

        def held_out(source: HeldOutSource) -> HeldOut:
            if asked is not None:
                asked.append(source)
            return toy_held_out(sizes, classifier, source)

        def make_generator(samples_per_class: int) -> ToyGenerator:
            return toy_generator(samples_per_class, num_classes=len(sizes))

        return Phase2Parts(
            classifier=classifier,
            dictionary=toy_dictionary(sizes),
            class_counts=counts,
            make_generator=make_generator,
            loss=loss or ToyLoss(ToyLossConfig(), class_counts=counts),
            held_out=held_out,
            rng=rng_for(0),
        )

    return make
