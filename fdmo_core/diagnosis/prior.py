"""How uneven the classes of a training split are."""

from dataclasses import dataclass

import torch
from torch import Tensor

BETA = 0.999  # Cui et al. 2019, between the values that they try


@dataclass(frozen=True)
class Prior:
    """What the training images per class amount to.

    Attributes:
        shares: Of all training images. Shape ``(C,)``, float64, sum 1.
        imbalance_ratio: Images of the largest class by those of the smallest that has any.
        effective_classes: How many equal classes have the same entropy, ``exp(H(shares))``.
        effective_sizes: Effective numbers of images, ``(1 - beta^n) / (1 - beta)`` with beta .999:
            the more images a class has, the less each further one adds. Shape ``(C,)``, float64.
        empty_classes: Classes without a training image.
    """

    shares: Tensor
    imbalance_ratio: float
    effective_classes: float
    effective_sizes: Tensor
    empty_classes: tuple[int, ...]


def describe_prior(class_counts: Tensor) -> Prior:
    """Return how uneven the classes are.

    Source: Cui et al. 2019, Eq. (2), for the effective sizes; Hill 1973 for the classes.

    Args:
        class_counts: Training images per class, at least one in all. Shape ``(C,)``, int64.
    """
    counts = class_counts.double()
    shares = counts / counts.sum()
    filled = counts[counts > 0]
    return Prior(
        shares=shares,
        imbalance_ratio=float(filled.max() / filled.min()),
        effective_classes=float(torch.exp(-torch.special.xlogy(shares, shares).sum())),
        effective_sizes=(1 - BETA**counts) / (1 - BETA),
        empty_classes=tuple(torch.nonzero(counts == 0).flatten().tolist()),
    )
