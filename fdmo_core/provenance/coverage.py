"""How much of the real features artificial ones reach."""

import torch
from torch import Tensor

EXACT = "donot_use_mm_for_euclid_dist"  # equal rows are 0 apart
NEIGHBOURS = 5  # Naeem et al. 2020 take 5


def coverage(real: Tensor, artificial: Tensor) -> float:
    """Return the share of real rows that have an artificial one in their neighbourhood.

    A row's neighbourhood is the ball around it that reaches to its k-th nearest other real row:
    ``1/N sum_i 1[min_j |x_i - y_j| <= r_k(x_i)]``. With k = 5, or one less than the rows where
    there are fewer.

    Source: Naeem et al. 2020, coverage.

    Args:
        real: At least two rows. Shape ``(N, F)``.
        artificial: Shape ``(M, F)``.
    """
    real, artificial = real.double(), artificial.double()
    among = torch.cdist(real, real, compute_mode=EXACT).fill_diagonal_(torch.inf)
    k = min(NEIGHBOURS, len(real) - 1)
    radius = among.kthvalue(k, dim=1).values  # (N,)
    nearest = torch.cdist(real, artificial, compute_mode=EXACT).amin(dim=1)  # (N,)
    return float((nearest <= radius).double().mean())
