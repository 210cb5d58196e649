"""Oversampling of LoRAS: mixtures of the rows around one of them."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from fdmo_core import ArtificialFeatures, ComponentConfig, DrawnFeatures, FeatureGenerator
from fdmo_core.combination import convex_combination


class LorasConfig(ComponentConfig):
    """Options of :class:`Loras`."""

    name: Literal["loras"] = "loras"
    neighbors: int = Field(
        default=5, ge=1, description="Nearest drawn rows that are mixed with the chosen one."
    )


class Loras(FeatureGenerator):
    """Mixes a drawn row and its nearest ones by random weights.

    One of the drawn rows is chosen, all with equal chances. It and its nearest ones among those
    drawn of the class get weights that are uniform over all convex weights.

    Source: Bej et al. 2021, "LoRAS: an oversampling approach for imbalanced datasets".

    Departs from Bej et al.: no normal noise is added to the rows before they are mixed, so that
    the features stay in the hull of what was drawn and their weights name their sources. The
    neighbours are those among the drawn rows, not in the whole class. A row as near as the last
    neighbour is one too.

    Args:
        config: How many neighbours.
        num_classes: C.
        stream_dims: Length of each stream's feature.
        samples_per_class: S.
    """

    config_class: ClassVar[type[ComponentConfig]] = LorasConfig
    config: LorasConfig

    def __init__(
        self,
        config: LorasConfig,
        *,
        num_classes: int,
        stream_dims: Sequence[int],
        samples_per_class: int,
    ) -> None:
        super().__init__(
            config,
            num_classes=num_classes,
            stream_dims=stream_dims,
            samples_per_class=samples_per_class,
        )
        self.noise_dim = 3 * samples_per_class

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return mixtures; shapes as in :meth:`FeatureGenerator.forward`."""
        noise = torch.randn(len(labels), self.noise_dim, generator=rng).to(drawn.store.device)
        mask = drawn.mask[drawn.groups]
        chosen = self._chosen(noise, mask)  # (B,)
        sets = drawn.features()  # (G, S, F)
        between = torch.cdist(sets, sets, compute_mode="donot_use_mm_for_euclid_dist")
        distances = between[drawn.groups, chosen]  # (B, S)
        weights = self._weights(noise, distances, mask)
        return ArtificialFeatures(convex_combination(weights, drawn, self.stream_dims), weights)

    def weigh(self, noise: Tensor, labels: Tensor, drawn: Tensor, mask: Tensor) -> Tensor:
        """Return the weights of :meth:`forward`; see :meth:`FeatureGenerator.weigh`."""
        chosen = self._chosen(noise, mask).view(-1, 1, 1)
        middle = drawn.gather(1, chosen.expand(-1, 1, drawn.shape[2]))  # (B, 1, F)
        distances = (drawn - middle).square().sum(dim=2).sqrt()  # (B, S)
        return self._weights(noise, distances, mask)

    def _chosen(self, noise: Tensor, mask: Tensor) -> Tensor:
        """Return a drawn row of each sample, all with equal chances. Shape ``(B,)``."""
        first, _, _ = noise.chunk(3, dim=1)  # each (B, S)
        return first.masked_fill(~mask, -torch.inf).argmax(dim=1)

    def _weights(self, noise: Tensor, distances: Tensor, mask: Tensor) -> Tensor:
        """Return convex weights on the nearest rows. Shape ``(B, T, S)``."""
        count = min(self.config.neighbors + 1, self.samples_per_class)  # the chosen row is one
        apart = distances.masked_fill(~mask, torch.inf)
        last = apart.topk(count, dim=1, largest=False).values[:, -1:]  # (B, 1)
        _, second, third = noise.chunk(3, dim=1)
        # Half the sum of two squared normals is exponential, and shares of those are uniform.
        parts = (second.square() + third.square()) * (mask & (apart <= last))
        shares = parts / parts.sum(dim=1, keepdim=True)
        return shares.unsqueeze(1).expand(-1, len(self.stream_dims), -1)
