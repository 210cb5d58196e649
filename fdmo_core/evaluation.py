"""Count what classifiers get right and wrong on a split."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fdmo_core.batches import Batches, scale_pixels
from fdmo_core.confusion import Tally
from fdmo_core.journal import Journal
from fdmo_core.metrics import MetricsConfig, summarize
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.randomness import derive_seed

EVALUATE_BATCH = 128  # images at a time

Predict = Callable[[Tensor], Mapping[str, Tensor]]


def model_predictor(
    model: TwoStreamClassifier, classifiers: Mapping[str, nn.Module], device: torch.device
) -> Predict:
    """Return a function from uint8 images to the logits of each classifier.

    The features are computed once, however many classifiers share them.

    Args:
        model: Extractors and blocks.
        classifiers: Main classifiers by name.
        device: Where the model is.
    """
    model.eval()

    def predict(images: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            features = model.extract(scale_pixels(images.to(device)))
            return {name: one(features).cpu() for name, one in classifiers.items()}

    return predict


def tally_split(
    predict: Predict,
    batches: Batches,
    *,
    num_classes: int,
    top_k: int,
    journal: Journal,
    split: str,
) -> dict[str, Tally]:
    """Return a tally for each classifier, over every image of the split once.

    Args:
        predict: From images ``(B, 3, H, W)``, uint8, to logits ``(B, C)`` by name.
        batches: Of the split.
        num_classes: C.
        top_k: For the tally.
        journal: Shown the progress.
        split: The split's name.
    """
    tallies: dict[str, Tally] = {}
    num_batches = math.ceil(len(batches) / EVALUATE_BATCH)
    for index, batch in enumerate(batches.in_order(EVALUATE_BATCH)):
        for name, logits in predict(batch.images).items():
            tally = tallies.setdefault(name, Tally.empty(num_classes, top_k=top_k))
            tally.update(logits, batch.labels)
        journal.progress(f"evaluate {split}", index + 1, num_batches)
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
        if not tallies
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
