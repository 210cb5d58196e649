"""A generator that sees what it mixes: weights by attention over the drawn features."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fdmo_core import (
    ArtificialFeatures,
    ComponentConfig,
    DrawnFeatures,
    FeatureGenerator,
    Game,
    LabelledFeatures,
)
from fdmo_plugins.convexgan.players import Players, PlayersConfig, make_discriminator
from fdmo_plugins.convexgan.sketches import ClassSketch
from fdmo_plugins.convexgan.streams import (
    StreamsConfig,
    mix_streams,
    num_weight_vectors,
    stream_weights,
)
from fdmo_plugins.convexgan.weights import WeightNetwork


class AttentionNetwork(nn.Module):
    """Scores each drawn feature by a query from noise, class and the whole drawn set.

    Permuted drawn features get permuted scores, for any number of them: each feature has its own
    key, and the query sees their mean only.

    Source: Vaswani et al. 2017 for the scaled product of query and key; Zaheer et al. 2017 (Deep
    Sets) for the mean as a summary that no order changes.

    Args:
        sketch_dim: Numbers that describe one drawn feature, E.
        key_dim: A, length of keys and queries.
        noise_dim: Z.
        num_classes: C.
        hidden: Widths of the two hidden layers behind the queries.
        num_queries: V, weight vectors for each sample.
    """

    def __init__(
        self,
        *,
        sketch_dim: int,
        key_dim: int,
        noise_dim: int,
        num_classes: int,
        hidden: Sequence[int],
        num_queries: int,
    ) -> None:
        super().__init__()
        self.key_dim = key_dim
        self.encoder = nn.Sequential(nn.Linear(sketch_dim, key_dim), nn.ReLU())
        # A bias would add the same to all scores of a set, which the softmax takes away again.
        self.keys = nn.Linear(key_dim, key_dim, bias=False)
        self.queries = WeightNetwork(
            noise_dim=noise_dim + key_dim,
            num_classes=num_classes,
            hidden=hidden,
            num_outputs=num_queries * key_dim,
        )

    def forward(
        self, noise: Tensor, labels: Tensor, sketches: Tensor, mask: Tensor, groups: Tensor
    ) -> Tensor:
        """Return scores of the drawn features, of which those on padding mean nothing.

        Args:
            noise: Standard normal. Shape ``(B, Z)``.
            labels: Classes to generate. Shape ``(B,)``, int64.
            sketches: Describe the drawn features, one set for each class. Shape ``(G, S, E)``.
            mask: Which of them were drawn; False is padding. Shape ``(G, S)``, bool.
            groups: Which set is each sample's. Shape ``(B,)``, int64.

        Returns:
            Shape ``(B, V, S)``.
        """
        encoded = self.encoder(sketches)  # (G, S, A)
        shares = mask / mask.sum(dim=1, keepdim=True)  # (G, S)
        summaries = (shares.unsqueeze(1) @ encoded).squeeze(1)  # (G, A)
        known = torch.cat([noise, summaries[groups]], dim=1)
        queries = self.queries.last(self.queries.encode(known, labels))
        queries = queries.unflatten(1, (-1, self.key_dim))  # (B, V, A)
        keys = self.keys(encoded)[groups]  # (B, S, A)
        scores: Tensor = queries @ keys.transpose(1, 2) / self.key_dim**0.5
        return scores


class AttentionGanConfig(StreamsConfig, PlayersConfig):
    """Options of :class:`AttentionGan`."""

    name: Literal["attention"] = "attention"
    sketch_dim: int = Field(
        default=64, ge=1, description="Numbers that describe one stream of a drawn feature."
    )
    key_dim: int = Field(default=64, ge=1, description="Length of the attention's keys.")


class AttentionGan(FeatureGenerator):
    """Mixes drawn features by weights that it gives each of them after a look at it.

    The game, its players' objectives and the discriminator are those of
    :class:`~fdmo_plugins.convexgan.generator.ConvexGan`; what differs is where the weights come
    from. No layer is as wide as the drawn set, so sets of any width can be mixed.

    Departs from the paper: its generator is blind to what it mixes. Here :meth:`fit` describes
    every row of the dictionary once by a sketch
    (:class:`~fdmo_plugins.convexgan.sketches.ClassSketch`), and a step looks at the sketches of the
    drawn rows.

    Args:
        config: Widths and schedule.
        num_classes: C.
        stream_dims: Length of each stream's feature.
        samples_per_class: S; nothing depends on it.
    """

    config_class: ClassVar[type[ComponentConfig]] = AttentionGanConfig
    config: AttentionGanConfig
    sketches: Tensor  # (N, T * sketch_dim)

    def __init__(
        self,
        config: AttentionGanConfig,
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
        sketch_dim = config.sketch_dim * len(stream_dims)
        self.network = AttentionNetwork(
            sketch_dim=sketch_dim,
            key_dim=config.key_dim,
            noise_dim=config.noise_dim,
            num_classes=num_classes,
            hidden=config.hidden,
            num_queries=num_weight_vectors(config, stream_dims),
        )
        self.discriminator = make_discriminator(
            config, num_classes=num_classes, stream_dims=stream_dims
        )
        self.noise_dim = config.noise_dim
        self.sketch = ClassSketch(stream_dims=stream_dims, sketch_dim=config.sketch_dim)
        # The store decides them, so fit() makes them again and no checkpoint needs them.
        self.register_buffer("sketches", torch.empty(0, sketch_dim), persistent=False)
        self._players = Players(config, network=self.network, discriminator=self.discriminator)

    @torch.no_grad()
    def fit(self, real: LabelledFeatures, classifier: nn.Module) -> None:
        """Sketch all rows of the dictionary; see :meth:`FeatureGenerator.fit`."""
        self.sketches = self.sketch.fit(real)

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return artificial features; see :meth:`FeatureGenerator.forward`."""
        noise = torch.randn(len(labels), self.config.noise_dim, generator=rng)
        noise = noise.to(drawn.store.device)
        scores = self.network(noise, labels, self.sketches[drawn.rows], drawn.mask, drawn.groups)
        return mix_streams(scores, drawn, config=self.config, stream_dims=self.stream_dims, rng=rng)

    def weigh(self, noise: Tensor, labels: Tensor, drawn: Tensor, mask: Tensor) -> Tensor:
        """Return the convex weights; see :meth:`FeatureGenerator.weigh`."""
        own = torch.arange(len(labels), device=labels.device)  # each sample has a set of its own
        scores = self.network(noise, labels, self.sketch(drawn, labels), mask, own)
        return stream_weights(scores, mask, config=self.config, stream_dims=self.stream_dims)

    def update(self, game: Game) -> Mapping[str, float]:
        """Update discriminator and generator; see :meth:`FeatureGenerator.update`."""
        return self._players.update(game, self)

    def looks_real(self, features: LabelledFeatures) -> Tensor:
        """Ask the discriminator; see :meth:`FeatureGenerator.looks_real`."""
        return self.discriminator.looks_real(features)

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return both optimizers; see :meth:`FeatureGenerator.optimizers`."""
        return self._players.optimizers()
