"""How long-tailed data is counted: profiles of class counts, and what follows from them."""

import math

import torch
from torch import Tensor

from fdmo_core.errors import ConfigError

GAMO_COUNTS = (4000, 2000, 1000, 750, 500, 350, 200, 100, 60, 40)
"""Training images per class in the experiments of Mullick et al. 2019; the imbalance is 100."""


def majority_class(class_counts: Tensor) -> int:
    """Return the class with the most images, the first of them where several have as many.

    Args:
        class_counts: Training images per class. Shape ``(C,)``, int64.
    """
    return int(class_counts.argmax())


def generation_probabilities(class_counts: Tensor) -> Tensor:
    """Return how likely each class is to be the next one that a feature is generated for.

    Source: Algorithm 1, line 11: in proportion to ``N_max - N_c``, so the majority class gets 0.

    Args:
        class_counts: Training images per class. Shape ``(C,)``, int64.

    Returns:
        Probabilities that sum to 1. Shape ``(C,)``, float32.

    Raises:
        ConfigError: Every class has the same number of images.
    """
    lacking = (class_counts.max() - class_counts).float()  # (C,)
    if not lacking.any():
        raise ConfigError(
            f"All {len(class_counts)} classes have {int(class_counts[0])} training images. "
            f"Expected at least one class with fewer images than another. Check that data.* names "
            f"the long-tailed set that you meant; balanced classes need no oversampling, so "
            f"choose a rebalancer that makes no artificial features."
        )
    return lacking / lacking.sum()


def log_priors(class_counts: Tensor) -> Tensor:
    """Return the logarithm of each class's share of the training images.

    A class without images gets the log prior of the largest class. Its own would be minus
    infinity, and a correction by it would make that class win everywhere. A correction favours one
    class over another for being rarer; one of which nothing is known is to be favoured over none.

    Args:
        class_counts: Training images per class, at least one not 0. Shape ``(C,)``, int64.

    Returns:
        Finite, at most 0. Shape ``(C,)``, float32.
    """
    counts = class_counts.double()
    counts = counts.where(counts > 0, counts.max())
    return (counts / class_counts.sum()).log().float()


def class_balanced_weights(class_counts: Tensor, beta: float) -> Tensor:
    """Return the weight of each class by its effective number of images.

    A class without images gets the weight of the rarest that has some: no label asks for it, and
    it must not change the weights of the others.

    Source: Cui et al. 2019: in proportion to ``(1 - beta) / (1 - beta ** n)``, scaled to a mean of
    1 over the classes that have images.

    Args:
        class_counts: Training images per class, at least one not 0. Shape ``(C,)``, int64.
        beta: In [0, 1). 0 weighs all classes alike; near 1 the weights go as ``1 / n``.

    Returns:
        Shape ``(C,)``, float32.
    """
    present = class_counts > 0
    counts = class_counts.clamp(min=class_counts[present].min()).double()
    log_beta = math.log(beta) if beta > 0 else -math.inf
    weights = -1 / torch.expm1(counts * log_beta)  # (C,); the numerator cancels below
    return (weights / weights[present].mean()).float()


def exponential_counts(largest: int, num_classes: int, ratio: float) -> tuple[int, ...]:
    """Return class counts that fall by a constant factor from class to class.

    Source: Cao et al. 2019 (LDAM-DRW), the "exp" profile, rounded down as in its code.

    Args:
        largest: Images of class 0.
        num_classes: C, at least 2.
        ratio: ``largest`` divided by the images of the last class, at least 1. Cao et al. state
            its inverse.

    Raises:
        ConfigError: A setting is out of range, or the last class would be empty.
    """
    _check_profile(largest, num_classes, ratio)
    last = num_classes - 1
    return tuple(int(largest / ratio ** (label / last)) for label in range(num_classes))


def step_counts(largest: int, num_classes: int, ratio: float) -> tuple[int, ...]:
    """Return class counts of two sizes: large for the first half of the classes, then small.

    Source: Cao et al. 2019 (LDAM-DRW), the "step" profile, rounded down as in its code. Of an odd
    number of classes the one in the middle is small.

    Args:
        largest: Images of each class in the first half.
        num_classes: C, at least 2.
        ratio: ``largest`` divided by the images of a class in the second half, at least 1.

    Raises:
        ConfigError: A setting is out of range, or the second half would be empty.
    """
    _check_profile(largest, num_classes, ratio)
    half = num_classes // 2
    return (largest,) * half + (int(largest / ratio),) * (num_classes - half)


def _check_profile(largest: int, num_classes: int, ratio: float) -> None:
    if num_classes < 2:
        raise ConfigError(
            f"A profile for {num_classes} class(es) was asked for. Expected at least 2: imbalance "
            f"is a relation between classes. Add a class."
        )
    if ratio < 1:
        raise ConfigError(
            f"The imbalance ratio is {ratio:g}. Expected at least 1: images of the largest class "
            f"per image of the smallest. Use its inverse, {1 / ratio:g}."
            if ratio > 0
            else f"The imbalance ratio is {ratio:g}. Expected at least 1. Use 100, for instance."
        )
    if largest < ratio:
        raise ConfigError(
            f"A largest class of {largest} images and an imbalance ratio of {ratio:g} leave the "
            f"smallest class empty. Expected at least 1 image in every class. Use a ratio of at "
            f"most {largest}, or a largest class of at least {ratio:g} images."
        )
