"""Count what classifiers get right and wrong on a split."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fdmo_core.batches import Batches, scale_pixels
from fdmo_core.compute import Compute
from fdmo_core.confusion import Tally
from fdmo_core.journal import Journal
from fdmo_core.maps import Maps
from fdmo_core.metrics import MetricsConfig, summarize
from fdmo_core.network import Network
from fdmo_core.randomness import derive_seed
from fdmo_core.world import World

EVALUATE_BATCH = 128  # images at a time

Predict = Callable[[Tensor], Tensor]


def model_predictor(model: Network, device: torch.device) -> Predict:
    """Return a function from uint8 images to the logits of the network's main classifier.

    Args:
        model: On the device.
        device: Where it is.
    """
    model.eval()

    @torch.no_grad()
    def predict(images: Tensor) -> Tensor:
        maps = model.prefix(scale_pixels(images.to(device)))
        logits: Tensor = model.main_classifier(model.extract(maps))
        return logits.cpu()

    return predict


class Scored(NamedTuple):
    """What classifiers say of some images.

    Attributes:
        logits: By name of the classifier. Shapes ``(B, C)``, on the CPU.
        labels: Shape ``(B,)``, int64, on the CPU.
    """

    logits: Mapping[str, Tensor]
    labels: Tensor


@torch.no_grad()
def score_maps(
    maps: Maps,
    model: Network,
    classifiers: Mapping[str, nn.Module],
    *,
    compute: Compute,
    journal: Journal,
    split: str,
) -> Iterator[Scored]:
    """Yield what main classifiers say of a split; the features are computed once for all of them.

    Args:
        maps: Of the split.
        model: Extractors and blocks.
        classifiers: Main classifiers by name.
        compute: Device and precision.
        journal: Shown the progress.
        split: Its name.
    """
    model.eval()
    num_batches = math.ceil(len(maps) / EVALUATE_BATCH / compute.world.size)
    for index, batch in enumerate(maps.in_order(EVALUATE_BATCH)):
        with compute.autocast():
            features = model.extract(batch.maps)
        logits = {name: one(features.float()).cpu() for name, one in classifiers.items()}
        journal.progress(f"evaluate {split}", index + 1, num_batches)
        yield Scored(logits, batch.labels.cpu())


def score_images(
    batches: Batches, predict: Predict, *, classifier: str, journal: Journal, split: str
) -> Iterator[Scored]:
    """Yield what a function says of the images of a split.

    Args:
        batches: Of the split.
        predict: From images ``(B, 3, S, S)``, uint8, to logits ``(B, C)``.
        classifier: What the function is called.
        journal: Shown the progress.
        split: Its name.
    """
    num_batches = math.ceil(len(batches) / EVALUATE_BATCH)
    for index, batch in enumerate(batches.in_order(EVALUATE_BATCH)):
        yield Scored({classifier: predict(batch.images)}, batch.labels)
        journal.progress(f"evaluate {split}", index + 1, num_batches)


def tally_scored(
    scored: Iterable[Scored],
    classifiers: Iterable[str],
    *,
    num_classes: int,
    top_k: int,
    world: World,
) -> dict[str, Tally]:
    """Return a tally for each classifier, over every image that any process scored.

    Args:
        scored: What this process scored.
        classifiers: Their names.
        num_classes: C.
        top_k: For the tally.
        world: The processes; each image is scored by one of them.
    """
    tallies = {name: Tally.empty(num_classes, top_k=top_k) for name in classifiers}
    for logits, labels in scored:
        for name, tally in tallies.items():
            tally.update(logits[name], labels)
    for tally in tallies.values():
        world.sum(tally.matrix)
        world.sum(tally.hits)
    return tallies


def report_split(
    tallies: Mapping[str, Tally],
    *,
    class_names: tuple[str, ...],
    train_counts: NDArray[np.int64],
    config: MetricsConfig,
    seed: int,
) -> dict[str, dict[str, Any]] | None:
    """Return the metrics of each classifier as plain data, or None if there was no image."""
    return (
        None
        if not any(tally.matrix.any() for tally in tallies.values())
        else {
            name: summarize(
                tally,
                class_names=class_names,
                train_counts=train_counts,
                config=config,
                rng_seed=derive_seed(seed, "bootstrap"),
            ).as_dict()
            for name, tally in tallies.items()
        }
    )
