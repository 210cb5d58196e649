"""What rebalancers that retrain a head share: draws from the dictionary, and a step of Adam."""

import math

import torch
from torch import Tensor

from fdmo_core import FeatureDictionary, LabelledFeatures


def draw_batch(
    dictionary: FeatureDictionary, prior: Tensor, batch_size: int, rng: torch.Generator
) -> LabelledFeatures:
    """Return real features whose classes are drawn from a prior, on the dictionary's device.

    Args:
        dictionary: Where they are drawn from, uniformly within a class.
        prior: Weight of each class, 0 for those without rows. Shape ``(C,)``, on the CPU.
        batch_size: B.
        rng: Source of randomness, on the CPU.
    """
    labels = prior.multinomial(batch_size, replacement=True, generator=rng)
    features = dictionary.sample(labels, rng)
    return LabelledFeatures(features, labels.to(features.device))


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, *, peak: float, share: float) -> float:
    """Do one step at a rate that falls from its peak to 0 by a cosine, and return the loss.

    Args:
        optimizer: Over what the loss was computed with.
        loss: Shape ``()``.
        peak: The rate at the beginning.
        share: How much of the training is done, in [0, 1).
    """
    for group in optimizer.param_groups:
        group["lr"] = peak * (1 + math.cos(math.pi * share)) / 2
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
