"""The discriminator of Table 1: is a feature real, given its class?"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fdmo_core import LabelledFeatures

LEAK = 0.1  # slope of the leaky ReLU, as GAMO (Mullick et al. 2019); the paper gives none
REAL_ABOVE = 0.5  # midway between the targets of Eq. (5)


class Discriminator(nn.Module):
    """Three fully connected layers on the joined feature and its class.

    Source: Table 1 and Eq. (5) of the paper; conditional on the class as in Algorithm 1.

    Departs from the paper: the input is the joined feature of both streams, as in Eqs. (4) and
    (5); the 2048 that Table 1 lists fits one stream only.

    Args:
        feature_dim: F, length of the joined feature.
        num_classes: C.
        hidden: Width of the first and the second layer.
        is_probability: Whether a sigmoid follows the last layer.
    """

    def __init__(
        self, *, feature_dim: int, num_classes: int, hidden: Sequence[int], is_probability: bool
    ) -> None:
        super().__init__()
        first, second = hidden
        self.num_classes = num_classes
        self.layers = nn.Sequential(
            nn.Linear(feature_dim + num_classes, first),
            nn.LeakyReLU(LEAK),
            nn.Linear(first, second),
            nn.LeakyReLU(LEAK),
            nn.Linear(second, 1),
            nn.Sigmoid() if is_probability else nn.Identity(),
        )

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return how real each feature looks: 1 for real, 0 for artificial.

        Args:
            features: Joined features. Shape ``(B, F)``.
            labels: Their classes. Shape ``(B,)``, int64.

        Returns:
            Shape ``(B,)``.
        """
        classes = F.one_hot(labels, self.num_classes).to(features.dtype)  # (B, C)
        scores: Tensor = self.layers(torch.cat([features, classes], dim=1))
        return scores.squeeze(1)

    def looks_real(self, features: LabelledFeatures) -> Tensor:
        """Return which features score nearer to 1 than to 0. Shape ``(B,)``, bool."""
        scores: Tensor = self(*features)
        return scores > REAL_ABOVE
