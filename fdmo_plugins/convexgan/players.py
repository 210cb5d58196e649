"""The two players of the game, and what each learns in a step: Eqs. (4) and (5)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from fdmo_core import ArtificialFeatures, ComponentConfig, DrawnFeatures, Game
from fdmo_core.imbalance import majority_class
from fdmo_core.settings import AdamBetas
from fdmo_plugins.convexgan.descent import descend, make_adam
from fdmo_plugins.convexgan.discriminator import Discriminator
from fdmo_plugins.convexgan.objectives import (
    deception_objective,
    discriminator_objective,
    realism_objective,
)

Make = Callable[[Tensor, DrawnFeatures, torch.Generator], ArtificialFeatures]


class PlayersConfig(ComponentConfig):
    """Options of :class:`Players`, whichever network makes the weights."""

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


class Players:
    """A network that makes convex weights, and a discriminator, each with an optimizer.

    Source: Eqs. (4) and (5), Algorithm 1, and Sec. IV-B of the paper.

    Departs from the paper: each player minimises its equation as one sum; Algorithm 1 makes a step
    for each term, in which Adam would cancel lambda.

    Args:
        config: Rates, weights and schedule.
        network: What :meth:`update` trains. Both modules belong to the generator, which saves them.
        discriminator: Its opponent.
    """

    def __init__(
        self, config: PlayersConfig, *, network: nn.Module, discriminator: Discriminator
    ) -> None:
        self.config = config
        self._network = network
        self._discriminator = discriminator
        self._network_optimizer, self._discriminator_optimizer = (
            make_adam(module, learning_rate=config.learning_rate, betas=config.betas)
            for module in (network, discriminator)
        )

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return both optimizers by name."""
        return {
            "network": self._network_optimizer,
            "discriminator": self._discriminator_optimizer,
        }

    def update(self, game: Game, make: Make) -> Mapping[str, float]:
        """Let both players learn from a step, and return their terms for the log.

        Args:
            game: The step so far.
            make: The generator's own :meth:`FeatureGenerator.forward`, through the network.
        """
        terms = {}
        if game.step % self.config.discriminator_every == 0:
            terms["discriminator"] = self._update_discriminator(game)
        return terms | self._update_network(game, make)

    def _update_discriminator(self, game: Game) -> float:
        """Algorithm 1, lines 6 and 9."""
        objective = discriminator_objective(
            self._discriminator(*game.real), self._discriminator(*game.artificial)
        )
        parameters = list(self._discriminator.parameters())
        return descend(objective, parameters, self._discriminator_optimizer)

    def _update_network(self, game: Game, make: Make) -> dict[str, float]:
        """Algorithm 1, lines 10 to 16."""
        labels, drawn = game.draw()  # lines 11-12
        self._network.train()
        features = make(labels, drawn, game.rng).features  # lines 13-14
        self._network.eval()
        left_out = None if self.config.deceive_majority else majority_class(game.class_counts)
        deception = deception_objective(
            game.classifier(features), labels, majority_class=left_out
        )  # line 15
        realism = realism_objective(self._discriminator(features, labels))  # line 16
        objective = deception + self.config.adversarial_weight * realism  # Eq. (4)
        descend(objective, list(self._network.parameters()), self._network_optimizer)
        return {"deception": deception.item(), "realism": realism.item()}


def make_discriminator(
    config: PlayersConfig, *, num_classes: int, stream_dims: Sequence[int]
) -> Discriminator:
    """Return the discriminator of joined features that the config describes."""
    return Discriminator(
        feature_dim=sum(stream_dims),
        num_classes=num_classes,
        hidden=config.discriminator_hidden,
        is_probability=config.discriminator_output == "probability",
    )
