"""The convex generator with its discriminator: Table 1, Eqs. (3) to (5), Algorithm 1."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

from fdmo_core import ArtificialFeatures, ComponentConfig, DrawnFeatures, FeatureGenerator, Game
from fdmo_core.combination import convex_combination
from fdmo_core.imbalance import majority_class
from fdmo_core.settings import AdamBetas
from fdmo_plugins.convexgan.discriminator import Discriminator
from fdmo_plugins.convexgan.objectives import (
    deception_objective,
    discriminator_objective,
    realism_objective,
)
from fdmo_plugins.convexgan.per_feature import per_feature_combination
from fdmo_plugins.convexgan.weights import WeightNetwork, masked_softmax, one_hot_weights


class ConvexGanConfig(ComponentConfig):
    """Options of :class:`ConvexGan`."""

    name: Literal["convexgan"] = "convexgan"
    noise_dim: int = Field(default=256, ge=1, description="Length of the noise vector (Table 1).")
    hidden: tuple[PositiveInt, PositiveInt] = Field(
        default=(512, 1024), description="Widths of the generator's two hidden layers (Table 1)."
    )
    discriminator_hidden: tuple[PositiveInt, PositiveInt] = Field(
        default=(1024, 512), description="Widths of the discriminator's hidden layers (Table 1)."
    )
    discriminator_output: Literal["probability", "linear"] = Field(
        default="probability", description="A sigmoid at the discriminator's end, or nothing."
    )
    weights: Literal["per-sample", "per-feature"] = Field(
        default="per-sample",
        description="One weight per drawn feature vector (Eq. 3), or per number in it (Table 1).",
    )
    tie_streams: bool = Field(
        default=False, description="Whether the streams share one weight vector."
    )
    artificial_streams: Literal["both", "texture", "shape"] = Field(
        default="both",
        description="Streams with mixed features; the other one keeps a drawn one (Fig. 3).",
    )
    chunk_size: int = Field(
        default=16, ge=1, description="Features worked off at a time with weights per feature."
    )
    adversarial_weight: float = Field(
        default=1000.0, ge=0, description="Weight of the discriminator's term, lambda in Eq. (4)."
    )
    deceive_majority: bool = Field(
        default=True,
        description="Whether the majority class is among the generator's targets (Algorithm 1).",
    )
    discriminator_every: int = Field(
        default=5, ge=1, description="The discriminator learns at every n-th step (Sec. IV-B)."
    )
    learning_rate: float = Field(
        default=2e-4, gt=0, description="Adam's rate for generator and discriminator."
    )
    betas: AdamBetas = Field(default=(0.9, 0.999), description="Adam's decay rates (Sec. IV-B).")

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
        if self.artificial_streams != "both" and self.tie_streams:
            raise ValueError(
                f"artificial_streams = '{self.artificial_streams}' has no meaning with tie_streams "
                f"= true, where both streams are mixed alike; remove one of the two"
            )
        return self


class ConvexGan(FeatureGenerator):
    """Mixes drawn features by weights that it learns in a game against two opponents.

    Source: Table 1, Eqs. (3) to (5), Algorithm 1, and Sec. IV-B of the paper; Fig. 3 and Table 5
    for one artificial stream, whose partner is a drawn feature of the same class, chosen with
    equal chances.

    Departs from the paper: by default the last layer gives one weight per stream and drawn
    feature, as Eq. (3) has it, where Table 1 lists 4096 x N_s. Each player minimises its equation
    as one sum; Algorithm 1 makes a step for each term, in which Adam would cancel lambda.

    Limit: the weights are made before the features are drawn, so the generator can learn how
    concentrated they are, but not which features to mix. docs/paper.md has the argument.

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
        per_feature = config.weights == "per-feature"
        self.weighted_dims = (
            (sum(stream_dims),) if config.tie_streams else tuple(stream_dims)
        )  # one weight vector for each entry
        num_mixed = len(self.weighted_dims) if config.artificial_streams == "both" else 1
        self.network = WeightNetwork(
            noise_dim=config.noise_dim,
            num_classes=num_classes,
            hidden=config.hidden,
            num_outputs=samples_per_class * (sum(stream_dims) if per_feature else num_mixed),
        )
        self.discriminator = Discriminator(
            feature_dim=sum(stream_dims),
            num_classes=num_classes,
            hidden=config.discriminator_hidden,
            is_probability=config.discriminator_output == "probability",
        )
        self._network_optimizer = self._adam(self.network)
        self._discriminator_optimizer = self._adam(self.discriminator)

    def _adam(self, module: torch.nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(
            module.parameters(), lr=self.config.learning_rate, betas=self.config.betas, fused=True
        )

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return both optimizers; see :meth:`FeatureGenerator.optimizers`."""
        return {
            "network": self._network_optimizer,
            "discriminator": self._discriminator_optimizer,
        }

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return artificial features; see :meth:`FeatureGenerator.forward`.

        With weights per feature no weights are returned, for they are S times the size of the
        features; :func:`~fdmo_plugins.convexgan.per_feature.per_feature_weights` computes them.
        """
        noise = torch.randn(len(labels), self.config.noise_dim, generator=rng)
        hidden = self.network.encode(noise.to(drawn.store.device), labels)
        last = self.network.last
        if self.config.weights == "per-feature":
            features = per_feature_combination(
                hidden, last, drawn, chunk_size=self.config.chunk_size
            )
            return ArtificialFeatures(features, weights=None)
        logits = last(hidden).unflatten(1, (-1, self.samples_per_class))
        mask = drawn.mask[drawn.groups]  # (B, S)
        weights = masked_softmax(logits, mask.unsqueeze(1))  # (B, T, S)
        if self.config.artificial_streams != "both":
            real = one_hot_weights(mask, rng).unsqueeze(1)
            is_texture = self.config.artificial_streams == "texture"
            weights = torch.cat([weights, real] if is_texture else [real, weights], dim=1)
        features = convex_combination(weights, drawn, self.weighted_dims)
        return ArtificialFeatures(features, weights.expand(-1, len(self.stream_dims), -1))

    def update(self, game: Game) -> Mapping[str, float]:
        """Update discriminator and generator; see :meth:`FeatureGenerator.update`."""
        terms = {}
        if game.step % self.config.discriminator_every == 0:
            terms["discriminator"] = self._update_discriminator(game)
        return terms | self._update_network(game)

    def _update_discriminator(self, game: Game) -> float:
        """Algorithm 1, lines 6 and 9."""
        objective = discriminator_objective(
            self.discriminator(*game.real), self.discriminator(*game.artificial)
        )
        self._discriminator_optimizer.zero_grad()
        objective.backward()
        self._discriminator_optimizer.step()
        return objective.item()

    def _update_network(self, game: Game) -> dict[str, float]:
        """Algorithm 1, lines 10 to 16."""
        labels, drawn = game.draw()  # lines 11-12
        self.network.train()
        features = self(labels, drawn, game.rng).features  # lines 13-14
        self.network.eval()
        left_out = None if self.config.deceive_majority else majority_class(game.class_counts)
        deception = deception_objective(
            game.classifier(features), labels, majority_class=left_out
        )  # line 15
        realism = realism_objective(self.discriminator(features, labels))  # line 16
        objective = deception + self.config.adversarial_weight * realism  # Eq. (4)
        parameters = list(self.network.parameters())
        self._network_optimizer.zero_grad()
        for parameter, slope in zip(
            parameters, torch.autograd.grad(objective, parameters), strict=True
        ):
            parameter.grad = slope
        self._network_optimizer.step()
        return {"deception": deception.item(), "realism": realism.item()}
