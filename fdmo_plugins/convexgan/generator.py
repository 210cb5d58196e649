"""The convex generator: weights from noise and class, by Table 1 and Eq. (3)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from fdmo_core import (
    ArtificialFeatures,
    ComponentConfig,
    DrawnFeatures,
    ExportError,
    FeatureGenerator,
    Game,
    LabelledFeatures,
)
from fdmo_plugins.convexgan.anchors import Anchors
from fdmo_plugins.convexgan.per_feature import per_feature_combination
from fdmo_plugins.convexgan.players import Players, PlayersConfig, make_discriminator
from fdmo_plugins.convexgan.streams import (
    StreamsConfig,
    mix_streams,
    num_weight_vectors,
    stream_weights,
)
from fdmo_plugins.convexgan.weights import WeightNetwork, masked_softmax


class ConvexGanConfig(StreamsConfig, PlayersConfig):
    """Options of :class:`ConvexGan`."""

    name: Literal["convexgan"] = "convexgan"
    anchors: Literal["drawn", "fixed"] = Field(
        default="drawn",
        description="Mix features that each step draws afresh (Algorithm 1), or the same ones at "
        "every step, as GAMO does.",
    )
    weights: Literal["per-sample", "per-feature"] = Field(
        default="per-sample",
        description="One weight per drawn feature vector (Eq. 3), or per number in it (Table 1).",
    )
    chunk_size: int = Field(
        default=16, ge=1, description="Features worked off at a time with weights per feature."
    )

    @model_validator(mode="after")
    def _one_meaning(self) -> "ConvexGanConfig":
        if self.tie_streams and self.weights == "per-feature":
            raise ValueError(
                "tie_streams has no meaning with weights = 'per-feature', where every feature has "
                "its own weights; remove one of the two"
            )
        if self.artificial_streams != "both" and self.weights == "per-feature":
            raise ValueError(
                f"artificial_streams = '{self.artificial_streams}' has no meaning with weights = "
                f"'per-feature', which mix every number of the joined feature; remove one of the "
                f"two"
            )
        return self


class ConvexGan(FeatureGenerator):
    """Mixes drawn features by weights that it learns in a game against two opponents.

    Source: Table 1, Eqs. (3) to (5), Algorithm 1, and Sec. IV-B of the paper.

    Departs from the paper: by default the last layer gives one weight per stream and drawn
    feature, as Eq. (3) has it, where Table 1 lists 4096 x N_s.

    Limit: the weights are made before the features are drawn, so the generator can learn how
    concentrated they are, but not which features to mix. docs/paper.md has the argument. With
    ``anchors = "fixed"`` every weight belongs to one feature for good, as in Mullick et al. 2019
    (GAMO), and that limit is gone; the generator then knows S features of each class and no other.
    :class:`~fdmo_plugins.convexgan.attention.AttentionGan` sees what is drawn.

    Args:
        config: Widths, weights and schedule.
        num_classes: C.
        stream_dims: Length of each stream's feature.
        samples_per_class: S.
    """

    config_class: ClassVar[type[ComponentConfig]] = ConvexGanConfig
    config: ConvexGanConfig

    def __init__(
        self,
        config: ConvexGanConfig,
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
        self.noise_dim = config.noise_dim
        per_feature = config.weights == "per-feature"
        num_vectors = sum(stream_dims) if per_feature else num_weight_vectors(config, stream_dims)
        self.network = WeightNetwork(
            noise_dim=config.noise_dim,
            num_classes=num_classes,
            hidden=config.hidden,
            num_outputs=samples_per_class * num_vectors,
        )
        self.discriminator = make_discriminator(
            config, num_classes=num_classes, stream_dims=stream_dims
        )
        self.anchors = (
            Anchors(num_classes=num_classes, samples_per_class=samples_per_class)
            if config.anchors == "fixed"
            else None
        )
        self._players = Players(config, network=self.network, discriminator=self.discriminator)

    def fit(self, real: LabelledFeatures, classifier: nn.Module) -> None:
        """Choose the fixed anchors, if there are any; see :meth:`FeatureGenerator.fit`."""
        if self.anchors is not None:
            self.anchors.choose(real.labels)

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return artificial features; see :meth:`FeatureGenerator.forward`.

        With weights per feature no weights are returned, for they are S times the size of the
        features; :func:`~fdmo_plugins.convexgan.per_feature.per_feature_weights` computes them.
        """
        noise = torch.randn(len(labels), self.config.noise_dim, generator=rng)
        hidden = self.network.encode(noise.to(drawn.store.device), labels)
        if self.anchors is None:
            return self._mixed(hidden, drawn, rng)
        sets = self.anchors.sets(labels, drawn.store)
        return self._mixed(hidden, sets, rng)._replace(rows=sets.rows[sets.groups])

    def _mixed(
        self, hidden: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        last = self.network.last
        if self.config.weights == "per-feature":
            features = per_feature_combination(
                hidden, last, drawn, chunk_size=self.config.chunk_size
            )
            return ArtificialFeatures(features, weights=None)
        scores = last(hidden).unflatten(1, (-1, self.samples_per_class))  # (B, V, S)
        return mix_streams(scores, drawn, config=self.config, stream_dims=self.stream_dims, rng=rng)

    def weigh(self, noise: Tensor, labels: Tensor, drawn: Tensor, mask: Tensor) -> Tensor:
        """Return the convex weights, per feature too; see :meth:`FeatureGenerator.weigh`."""
        if self.anchors is not None:
            raise ExportError(
                "The generator has anchors = 'fixed': it mixes rows of its own, not those that it "
                "is given. Expected anchors = 'drawn' of a generator that is exported. Train phase "
                "2 with it from the same phase 1: fdmo train --phase1-from RUN."
            )
        hidden = self.network.encode(noise, labels)
        scores = self.network.last(hidden).unflatten(1, (-1, self.samples_per_class))
        if self.config.weights == "per-feature":
            return masked_softmax(scores, mask.unsqueeze(1))  # (B, F, S)
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
