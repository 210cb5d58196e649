"""Phase 2 as the paper has it: Algorithm 1."""

from collections.abc import Mapping
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
    Phase2Parts,
    Rebalancer,
)
from fdmo_core.classifier import classifier_for_loss
from fdmo_core.imbalance import generation_probabilities


class AdversarialConfig(ComponentConfig):
    """Options of :class:`AdversarialRebalancer`."""

    name: Literal["adversarial"] = "adversarial"
    epochs: int = Field(
        default=10, ge=0, description="Passes over the dictionary's size (Sec. IV-B)."
    )
    batch_size: int = Field(
        default=256, ge=2, description="Real, and again artificial, features a step (Sec. IV-B)."
    )
    samples_per_class: int = Field(
        default=100, ge=1, description="Features drawn per class and step, N_s (Sec. IV-E)."
    )
    learning_rate: float = Field(
        default=1e-3, gt=0, description="Adam's rate for the main classifier."
    )
    artificial: bool = Field(
        default=True,
        description="Whether every second update is on artificial features; false: on real ones "
        "again, without a generator.",
    )


class AdversarialRebalancer(Rebalancer):
    """Fine-tunes the main classifier on real and artificial features in turn.

    Source: Sec. III-C and Algorithm 1 of the paper.

    Departs from the paper: each sample of a batch draws its own class, where Algorithm 1 takes one
    class a step. Artificial features are made for the minority classes only, in proportion to
    what each class lacks (Sec. III-C); lines 4 to 9 reuse the class of the real features. A class
    with fewer than N_s features in the dictionary gives all it has.

    With ``artificial = false`` a second batch of real features, again drawn equally from all
    classes, takes the place of the artificial ones. The classifier then sees as many updates, and
    what differs is the generator's part alone. The paper has no such row.

    Args:
        config: Steps, batch size and rate.
        parts: Classifier, dictionary, generator and loss.
    """

    config_class: ClassVar[type[ComponentConfig]] = AdversarialConfig
    config: AdversarialConfig

    def __init__(self, config: AdversarialConfig, *, parts: Phase2Parts) -> None:
        super().__init__(config, parts=parts)
        self.main_classifier = classifier_for_loss(parts.classifier, parts.loss)
        self.generator = _fitted_generator(config, parts) if config.artificial else None
        self.loss = parts.loss
        self._dictionary = parts.dictionary
        self._class_counts = parts.class_counts
        held = parts.dictionary.class_sizes
        self._real_prior = (held > 0).float()  # line 4
        if config.artificial and config.epochs > 0:
            lacking = generation_probabilities(parts.class_counts)  # line 11
            self._artificial_prior = lacking * self._real_prior
        self._optimizer = torch.optim.Adam(
            self.main_classifier.parameters(), lr=config.learning_rate, fused=True
        )
        self.num_steps = config.epochs * -(-int(held.sum()) // config.batch_size)
        self.notices = self._describe_small_classes(held) if config.artificial else ()

    @classmethod
    def check_counts(cls, config: AdversarialConfig, class_counts: Tensor) -> None:
        """Refuse classes of equal size; see :meth:`Rebalancer.check_counts`."""
        if config.artificial and config.epochs > 0:
            generation_probabilities(class_counts)

    def _describe_small_classes(self, held: Tensor) -> list[str]:
        small = int((held < self.config.samples_per_class).sum())
        if not small:
            return []
        return [
            f"{small} of {len(held)} classes hold fewer than samples_per_class = "
            f"{self.config.samples_per_class} features; they give all they have, the smallest "
            f"{int(held.min())}."
        ]

    @property
    def classifier(self) -> nn.Module:
        """The main classifier; see :attr:`Rebalancer.classifier`."""
        return self.main_classifier

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the optimizers of all players; see :meth:`Rebalancer.optimizers`."""
        if self.generator is None:
            return {"classifier": self._optimizer}
        players = {f"generator.{name}": one for name, one in self.generator.optimizers().items()}
        return {"classifier": self._optimizer, **players}

    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        """Do one pass of Algorithm 1's loop; see :meth:`Rebalancer.step`."""
        self.loss.begin_step(index / self.num_steps)
        real = self._draw_real(rng)  # lines 4-5
        real_loss = self._update_classifier(real)  # line 6
        if self.generator is None:
            return {"real": real_loss, "real_again": self._update_classifier(self._draw_real(rng))}

        labels, drawn = self._draw_for_generator(rng)
        with torch.no_grad():
            artificial = LabelledFeatures(
                self.generator(labels, drawn, rng).features, labels
            )  # lines 7-8
        artificial_loss = self._update_classifier(artificial)  # line 9

        game = Game(
            step=index,
            real=real,
            artificial=artificial,
            classifier=self.main_classifier,
            class_counts=self._class_counts,
            draw=lambda: self._draw_for_generator(rng),
            rng=rng,
        )
        terms = self.generator.update(game)  # lines 6 and 9 for D, lines 10-16
        return {"real": real_loss, "artificial": artificial_loss, **terms}

    @torch.no_grad()
    def make_artificial(self, labels: Tensor, rng: torch.Generator) -> ArtificialFeatures | None:
        """Return what the generator makes; see :meth:`Rebalancer.make_artificial`."""
        if self.generator is None:
            return None
        drawn = self._dictionary.draw(
            labels, samples_per_class=self.config.samples_per_class, rng=rng
        )
        made: ArtificialFeatures = self.generator(labels.to(drawn.store.device), drawn, rng)
        if made.rows is None and made.weights is not None:
            made = made._replace(rows=drawn.rows[drawn.groups])
        return made

    def looks_real(self, features: LabelledFeatures) -> Tensor | None:
        """Ask the generator's opponent; see :meth:`Rebalancer.looks_real`."""
        return None if self.generator is None else self.generator.looks_real(features)

    def _draw_real(self, rng: torch.Generator) -> LabelledFeatures:
        labels = self._draw_labels(self._real_prior, rng)
        features = self._dictionary.sample(labels, rng)
        return LabelledFeatures(features, labels.to(features.device))

    def _draw_for_generator(self, rng: torch.Generator) -> tuple[Tensor, DrawnFeatures]:
        labels = self._draw_labels(self._artificial_prior, rng)
        drawn = self._dictionary.draw(
            labels, samples_per_class=self.config.samples_per_class, rng=rng
        )
        return labels.to(drawn.store.device), drawn

    def _draw_labels(self, prior: Tensor, rng: torch.Generator) -> Tensor:
        return prior.multinomial(self.config.batch_size, replacement=True, generator=rng)

    def _update_classifier(self, batch: LabelledFeatures) -> float:
        loss: Tensor = self.loss(self.main_classifier(batch.features), batch.labels)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss.item()


def _fitted_generator(config: AdversarialConfig, parts: Phase2Parts) -> FeatureGenerator:
    generator = parts.make_generator(config.samples_per_class)
    generator.fit(parts.dictionary.store, parts.classifier)
    return generator.eval()
