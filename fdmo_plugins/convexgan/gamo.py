"""GAMO: convex weights over all rows of a class, learned one class and one opponent at a time."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from fdmo_core import (
    ArtificialFeatures,
    ComponentConfig,
    DrawnFeatures,
    FeatureGenerator,
    Game,
    LabelledFeatures,
)
from fdmo_core.combination import convex_combination
from fdmo_core.settings import AdamBetas
from fdmo_plugins.convexgan.descent import descend, make_adam
from fdmo_plugins.convexgan.discriminator import Discriminator
from fdmo_plugins.convexgan.objectives import deception_objective, realism_objective


class GamoNetwork(nn.Module):
    """A trunk that all classes share, and for each class a layer as wide as the class.

    Source: Mullick et al. 2019, the generator of its experiments on Fashion-MNIST.

    Args:
        noise_dim: Z.
        num_classes: C.
        hidden: Widths of the trunk's two layers.
        sizes: Rows of each class that has a layer, by label.
    """

    def __init__(
        self, *, noise_dim: int, num_classes: int, hidden: Sequence[int], sizes: Mapping[int, int]
    ) -> None:
        super().__init__()
        first, second = hidden
        self.num_classes = num_classes
        self.trunk = nn.Sequential(
            nn.Linear(noise_dim + num_classes, first),
            nn.ReLU(),
            nn.BatchNorm1d(first),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.BatchNorm1d(second),
        )
        self.layers = nn.ModuleDict(
            {str(label): nn.Linear(second, size) for label, size in sizes.items()}
        )

    def forward(self, noise: Tensor, label: int) -> Tensor:
        """Return convex weights over all rows of a class.

        Args:
            noise: Standard normal. Shape ``(B, Z)``.
            label: The class of all samples.

        Returns:
            Shape ``(B, n)`` for a class of n rows.
        """
        classes = F.one_hot(
            torch.full_like(noise[:, 0], label, dtype=torch.int64), self.num_classes
        )
        hidden = self.trunk(torch.cat([noise, classes.to(noise.dtype)], dim=1))
        scores: Tensor = self.layers[str(label)](hidden)
        return scores.softmax(dim=1)

    def parameters_of(self, label: int) -> list[nn.Parameter]:
        """Return what the weights of a class depend on."""
        return [*self.trunk.parameters(), *self.layers[str(label)].parameters()]


class GamoConfig(ComponentConfig):
    """Options of :class:`Gamo`."""

    name: Literal["gamo"] = "gamo"
    noise_dim: int = Field(default=100, ge=1, description="Length of the noise vector.")
    hidden: tuple[PositiveInt, PositiveInt] = Field(
        default=(256, 64), description="Widths of the layers that all classes share."
    )
    discriminator_hidden: tuple[PositiveInt, PositiveInt] = Field(
        default=(256, 128), description="Widths of the discriminator's hidden layers."
    )
    label_noise: float = Field(
        default=0.1, ge=0, lt=0.5, description="How far the discriminator's targets move at most."
    )
    discriminator_every: int = Field(
        default=1, ge=1, description="The discriminator learns at every n-th step."
    )
    learning_rate: float = Field(
        default=2e-4, gt=0, description="Adam's rate for generator and discriminator."
    )
    betas: AdamBetas = Field(default=(0.5, 0.999), description="Adam's decay rates.")


class Gamo(FeatureGenerator):
    """Mixes all rows of a class by weights that know each row by its place.

    Source: Mullick et al. 2019 (GAMO): networks, targets and schedule. At each step the
    discriminator learns from real and from artificial features, and then for each class the
    generator takes a step against the classifier and one against the discriminator.

    Departs from GAMO: the majority class has a layer too and learns as the others do. How large the
    classes are is not to be seen in a dictionary that keeps at most so many rows of each, and
    whoever asks for features of that class gets such. All steps of the generator share Adam's
    moments. A class of one row has no layer: its feature is that row. The classifier's own updates
    are the rebalancer's: equal class draws, and the loss that the run names; GAMO has
    ``loss.name = "squared-error"`` and draws as in the data.

    Args:
        config: Widths and schedule.
        num_classes: C.
        stream_dims: Length of each stream's feature; all are mixed alike.
        samples_per_class: S; drawn features are not used.
    """

    config_class: ClassVar[type[ComponentConfig]] = GamoConfig
    config: GamoConfig

    def __init__(
        self,
        config: GamoConfig,
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
        self.discriminator = Discriminator(
            feature_dim=sum(stream_dims),
            num_classes=num_classes,
            hidden=config.discriminator_hidden,
            is_probability=True,
        )

    def fit(self, real: LabelledFeatures, classifier: nn.Module) -> None:
        """Make a layer for each class; see :meth:`FeatureGenerator.fit`."""
        self._store = real.features
        self._rows = [
            torch.nonzero(real.labels == label).flatten() for label in range(self.num_classes)
        ]
        self.network = GamoNetwork(
            noise_dim=self.config.noise_dim,
            num_classes=self.num_classes,
            hidden=self.config.hidden,
            sizes={label: len(own) for label, own in enumerate(self._rows) if len(own) > 1},
        ).to(real.features.device)
        self._network_optimizer, self._discriminator_optimizer = (
            make_adam(one, learning_rate=self.config.learning_rate, betas=self.config.betas)
            for one in (self.network, self.discriminator)
        )

    def looks_real(self, features: LabelledFeatures) -> Tensor:
        """Ask the discriminator; see :meth:`FeatureGenerator.looks_real`."""
        return self.discriminator.looks_real(features)

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

        Weights and rows are as wide as the largest class among the labels.
        """
        noise = torch.randn(len(labels), self.config.noise_dim, generator=rng)
        noise = noise.to(labels.device)
        classes, groups = labels.unique(return_inverse=True)
        own = [self._rows[label] for label in classes.tolist()]
        rows = pad_sequence(own, batch_first=True)  # (G, n)
        mask = pad_sequence([one >= 0 for one in own], batch_first=True)
        weights = noise.new_zeros(len(labels), rows.shape[1])  # (B, n)
        for group, label in enumerate(classes.tolist()):
            chosen = groups == group
            weights[chosen, : len(own[group])] = self._weights(noise[chosen], label)
        sets = DrawnFeatures(drawn.store, rows, mask, groups)
        features = convex_combination(weights.unsqueeze(1), sets, (sum(self.stream_dims),))
        shared = weights.unsqueeze(1).expand(-1, len(self.stream_dims), -1)
        return ArtificialFeatures(features, shared, rows[groups])

    def _weights(self, noise: Tensor, label: int) -> Tensor:
        if len(self._rows[label]) == 1:
            return torch.ones_like(noise[:, :1])
        weights: Tensor = self.network(noise, label)
        return weights

    def update(self, game: Game) -> Mapping[str, float]:
        """Update discriminator and generator; see :meth:`FeatureGenerator.update`."""
        terms = {}
        if game.step % self.config.discriminator_every == 0:
            terms["discriminator"] = self._update_discriminator(game)
        return terms | self._update_network(game)

    def _update_discriminator(self, game: Game) -> float:
        value = 0.0
        for features, target in ((game.real, 1), (game.artificial, 0)):
            scores = self.discriminator(*features)
            noise = self.config.label_noise * torch.rand(len(scores), generator=game.rng)
            targets = (target - noise).abs().to(scores.device)  # 1 - noise, or noise
            value += descend(
                (scores - targets).square().mean(),
                list(self.discriminator.parameters()),
                self._discriminator_optimizer,
            )
        return value

    def _update_network(self, game: Game) -> dict[str, float]:
        num_samples = max(2, -(-len(game.artificial.labels) // self.num_classes))  # norm needs 2
        learning = [int(label) for label in self.network.layers]
        terms = {"deception": 0.0, "realism": 0.0}
        self.network.train()
        for label in learning:
            noise = torch.randn(num_samples, self.config.noise_dim, generator=game.rng)
            for name, value in self._update_class(label, noise, game.classifier).items():
                terms[name] += value / len(learning)
        self.network.eval()
        return terms

    def _update_class(self, label: int, noise: Tensor, classifier: nn.Module) -> dict[str, float]:
        """Do a step against the classifier, then one against the discriminator."""
        points = self._store[self._rows[label]]  # (n, F)
        noise = noise.to(points.device)
        labels = torch.full((len(noise),), label, device=points.device)
        parameters = self.network.parameters_of(label)

        made = self.network(noise, label) @ points
        deception = deception_objective(classifier(made), labels) / self.num_classes  # a mean
        terms = {"deception": descend(deception, parameters, self._network_optimizer)}

        made = self.network(noise, label) @ points
        realism = realism_objective(self.discriminator(made, labels))
        return terms | {"realism": descend(realism, parameters, self._network_optimizer)}
