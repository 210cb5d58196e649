"""The generator's network: from noise and class to convex weights (Table 1)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WeightNetwork(nn.Module):
    """Three fully connected layers; the last one gives the logits of the convex weights.

    Source: Table 1 of the paper; ReLU and batch normalisation as GAMO (Mullick et al. 2019), for
    the paper names neither.

    Args:
        noise_dim: Z.
        num_classes: C.
        hidden: Width of the first and the second layer.
        num_outputs: How many weights the last layer gives.
    """

    def __init__(
        self, *, noise_dim: int, num_classes: int, hidden: Sequence[int], num_outputs: int
    ) -> None:
        super().__init__()
        first, second = hidden
        self.num_classes = num_classes
        self.trunk = nn.Sequential(
            nn.Linear(noise_dim + num_classes, first),
            nn.BatchNorm1d(first),
            nn.ReLU(),
            nn.Linear(first, second),
            nn.BatchNorm1d(second),
            nn.ReLU(),
        )
        self.last = nn.Linear(second, num_outputs)

    def encode(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return what the last layer sees.

        Args:
            noise: Standard normal. Shape ``(B, Z)``.
            labels: Classes to generate. Shape ``(B,)``, int64.

        Returns:
            Shape ``(B, hidden[1])``.
        """
        classes = F.one_hot(labels, self.num_classes).to(noise.dtype)  # (B, C)
        hidden: Tensor = self.trunk(torch.cat([noise, classes], dim=1))
        return hidden


def masked_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Return weights that are 0 where the mask is False and sum to 1 over the rest.

    Args:
        logits: Shape ``(..., S)``.
        mask: At least one True in each line. Broadcasts to ``logits``, bool.

    Returns:
        Shape ``(..., S)``.
    """
    return logits.masked_fill(~mask, -torch.inf).softmax(dim=-1)


def one_hot_weights(mask: Tensor, rng: torch.Generator) -> Tensor:
    """Return weights that take one entry whole, chosen with equal chances where the mask is True.

    Args:
        mask: At least one True in each line. Shape ``(B, S)``, bool.
        rng: Source of randomness, on the CPU.

    Returns:
        Shape ``(B, S)``, float32, on the mask's device.
    """
    chosen = mask.float().cpu().multinomial(1, generator=rng).squeeze(1)  # (B,)
    return F.one_hot(chosen, mask.shape[1]).float().to(mask.device)
