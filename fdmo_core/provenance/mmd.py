"""How far artificial features are from real ones: maximum mean discrepancy, with a yardstick."""

import torch
from torch import Tensor

EXACT = "donot_use_mm_for_euclid_dist"  # equal rows are 0 apart


def median_distance(features: Tensor) -> float:
    """Return the median of the distances between two different rows.

    Source: Gretton et al. 2012, the median heuristic for the width of a kernel.

    Args:
        features: At least two rows. Shape ``(N, F)``.
    """
    return float(torch.pdist(features.double()).median())


def rbf_kernel(left: Tensor, right: Tensor, width: float) -> Tensor:
    """Return ``exp(-|x - y|^2 / (2 width^2))`` of all pairs.

    Args:
        left: Shape ``(N, F)``.
        right: Shape ``(M, F)``.
        width: Above 0.

    Returns:
        Shape ``(N, M)``, float64.
    """
    distances = torch.cdist(left.double(), right.double(), compute_mode=EXACT)
    return torch.exp(-distances.square() / (2 * width**2))


def squared_mmd(real: Tensor, artificial: Tensor, width: float) -> float:
    """Return the unbiased estimate of the squared discrepancy; it may be below 0 by chance.

    Source: Gretton et al. 2012, the unbiased statistic MMD_u^2, with an RBF kernel:
    the mean of k over pairs of different real rows, plus that over pairs of different artificial
    rows, minus twice that over pairs of one of each.

    Args:
        real: At least two rows. Shape ``(N, F)``.
        artificial: At least two rows. Shape ``(M, F)``.
        width: Of the kernel.
    """
    within = [_mean_of_pairs(rbf_kernel(one, one, width)) for one in (real, artificial)]
    return sum(within) - 2 * float(rbf_kernel(real, artificial, width).mean())


def squared_mmd_of_halves(
    real: Tensor, width: float, *, num_halvings: int, rng: torch.Generator
) -> Tensor:
    """Return the squared discrepancy between random halves of real features.

    What two sets of real features differ by: a figure of artificial ones says something only beside
    it. An odd row is left out of each halving.

    Args:
        real: At least four rows. Shape ``(N, F)``.
        width: Of the kernel.
        num_halvings: R.
        rng: Source of randomness, on the CPU.

    Returns:
        Shape ``(R,)``, float64.
    """
    kernel = rbf_kernel(real, real, width)
    size = len(real) // 2
    found = []
    for _ in range(num_halvings):
        order = torch.randperm(len(real), generator=rng).to(real.device)
        one, other = order[:size], order[size : 2 * size]
        within = [_mean_of_pairs(kernel[half][:, half]) for half in (one, other)]
        found.append(sum(within) - 2 * float(kernel[one][:, other].mean()))
    return torch.tensor(found, dtype=torch.float64)


def _mean_of_pairs(kernel: Tensor) -> float:
    """Return the mean of a square kernel matrix without its diagonal."""
    size = len(kernel)
    return float((kernel.sum() - kernel.diagonal().sum()) / (size * (size - 1)))
