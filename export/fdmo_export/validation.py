"""What the trained network says of held-out images: evidence for priors, thresholds and gates."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fdmo_core.batches import scale_pixels
from fdmo_core.errors import ExportError
from fdmo_core.preprocessing import prepare
from fdmo_core.randomness import rng_for
from fdmo_core.run_folder import TrainedRun
from fdmo_core.samples import Sample, Split

SCORE_BATCH = 32  # images at a time


@dataclass(frozen=True)
class Scored:
    """Images of a split with the network's answer, by way of the training path.

    Attributes:
        split: Where they come from.
        rows: Their indices there, rising. Shape ``(N,)``, int64.
        logits: Scores of the main classifier. Shape ``(N, C)``, float32.
        labels: Shape ``(N,)``, int64.
    """

    split: Split
    rows: NDArray[np.int64]
    logits: Tensor
    labels: Tensor

    def sample(self, index: int) -> Sample:
        """Return one of the images."""
        return self.split[int(self.rows[index])]


def score(trained: TrainedRun, split: Split, max_images: int) -> Scored:
    """Return images of a split, as many of each class as there are up to a limit, with scores.

    Args:
        trained: Its network is on the CPU.
        split: Of the run's data, in its class order.
        max_images: How many at most, over all classes.

    Raises:
        ExportError: A score is not a number.
    """
    rows = balanced_rows(split.labels, max_images, seed=trained.run.core.seed)
    parts = []
    for part in np.split(rows, range(SCORE_BATCH, len(rows), SCORE_BATCH)):
        samples = [prepare(split[int(row)], trained.image_size).image for row in part]
        if samples:
            parts.append(_logits(trained, torch.stack(samples)))
    logits = torch.cat(parts) if parts else torch.empty(0, len(trained.class_names))
    broken = int((~logits.isfinite()).any(dim=1).sum())
    if broken:
        raise ExportError(
            f"The network answers {broken} of {len(rows)} samples with scores that are not finite. "
            f"Expected numbers. Look in log.jsonl where the losses of {trained.folder} left them, "
            f"and train again."
        )
    return Scored(split, rows, logits, torch.from_numpy(split.labels[rows]))


@torch.no_grad()
def _logits(trained: TrainedRun, inputs: Tensor) -> Tensor:
    model = trained.model
    logits: Tensor = model.main_classifier(model.extract(model.prefix(scale_pixels(inputs))))
    return logits


def balanced_rows(labels: NDArray[np.int64], max_rows: int, *, seed: int) -> NDArray[np.int64]:
    """Return rows of which no class has more than its equal share, unless others have less.

    Args:
        labels: Shape ``(N,)``, int64.
        max_rows: How many at most.
        seed: Decides which rows of a class are taken.

    Returns:
        Rising. Shape ``(R,)``, int64, R at most ``max_rows``.
    """
    order = torch.randperm(len(labels), generator=rng_for(seed, "export")).numpy()
    turn = np.empty(len(labels), dtype=np.int64)  # the how-many-th of its class each row is
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        turn[of_class] = np.arange(len(of_class))
    chosen = order[np.argsort(turn[order], kind="stable")][:max_rows]
    return np.sort(chosen).astype(np.int64)
