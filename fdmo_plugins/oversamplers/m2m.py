"""M2m in feature space: features of larger classes, moved until they pass for a smaller one."""

from copy import deepcopy
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fdmo_core import (
    ArtificialFeatures,
    ComponentConfig,
    DrawnFeatures,
    FeatureGenerator,
    LabelledFeatures,
)


class M2mConfig(ComponentConfig):
    """Options of :class:`M2m`."""

    name: Literal["m2m"] = "m2m"
    num_moves: int = Field(default=10, ge=1, description="Steps from the source to the target.")
    move_length: float = Field(
        default=0.1, gt=0, description="Length of a step, in units of the features' spread."
    )
    start_noise: float = Field(
        default=0.5,
        ge=0,
        description="Most that a source is moved at random first, in units of the spread.",
    )
    source_penalty: float = Field(
        default=0.5, ge=0, description="Weight of the score of the source's class, lambda."
    )
    min_probability: float = Field(
        default=0.9,
        ge=0,
        lt=1,
        description="Least probability of the target class with which a feature is kept, gamma.",
    )
    beta: float = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="How much larger a source's class must be: near 1 for much larger.",
    )


class M2m(FeatureGenerator):
    """Moves a real feature of a larger class until phase 1's classifier takes it for the label.

    A variant of Kim et al. 2020 (M2m: major-to-minor translation), which works on images: here
    what moves is a feature. For a label k, the source's class k0 is drawn in proportion to
    ``1 - beta ** max(N_k0 - N_k, 0)``, and the source from its rows. Each of ``num_moves`` steps
    goes along the normalised gradient of ``cross-entropy(g(x), k) + lambda * f(x)_k0``. What g then
    gives a probability of k below gamma is replaced by a drawn feature of k; so is everything for
    the largest class, which has no larger one.

    Departs from Kim et al. 2020: phase 1's classifier is both g and f, where f is the one that is
    being trained. N counts the rows of the dictionary, not the images. An image has a fixed range;
    a feature has not, so lengths are in units of the root mean square distance of all features
    from their mean, and nothing is cut off at 0.

    Args:
        config: Moves and what is kept.
        num_classes: C.
        stream_dims: Length of each stream's feature; only their sum matters.
        samples_per_class: S.
    """

    config_class: ClassVar[type[ComponentConfig]] = M2mConfig
    config: M2mConfig

    @torch.no_grad()
    def fit(self, real: LabelledFeatures, classifier: nn.Module) -> None:
        """Keep a copy of the classifier, and the store; see :meth:`FeatureGenerator.fit`."""
        self.classifier = deepcopy(classifier).requires_grad_(False).eval()
        self._rows_by_class = real.labels.argsort(stable=True).cpu()
        self._sizes = real.labels.bincount(minlength=self.num_classes).cpu()
        self._source_chances = source_chances(self._sizes, beta=self.config.beta)
        self._spread = float(real.features.var(dim=0, correction=0).sum().sqrt())

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return artificial features; see :meth:`FeatureGenerator.forward`.

        They are no mixtures of rows, so there are no weights.
        """
        device = drawn.store.device
        chances = self._source_chances[labels.cpu()]  # (B, C)
        has_larger = chances.any(dim=1)
        chances = chances.where(has_larger.unsqueeze(1), 1.0)  # drawn in vain, replaced below
        source_classes = chances.multinomial(1, generator=rng).squeeze(1)
        sources = drawn.store[self._drawn_rows(source_classes, rng).to(device)]
        moved = self._moved(self._shaken(sources, rng), labels, source_classes.to(device))
        probabilities = self.classifier(moved).softmax(dim=1).gather(1, labels.unsqueeze(1))
        is_kept = (probabilities.squeeze(1) >= self.config.min_probability) & has_larger.to(device)
        own = drawn.mask[drawn.groups].float().cpu().multinomial(1, generator=rng).to(device)
        copies = drawn.store[drawn.rows[drawn.groups].gather(1, own).squeeze(1)]
        return ArtificialFeatures(moved.where(is_kept.unsqueeze(1), copies), weights=None)

    def _drawn_rows(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Return a row of the store for each label, all rows of a class with equal chances."""
        chance = torch.rand(len(labels), generator=rng, dtype=torch.float64)
        first = (self._sizes.cumsum(0) - self._sizes)[labels]
        return self._rows_by_class[first + (chance * self._sizes[labels]).long()]

    def _shaken(self, sources: Tensor, rng: torch.Generator) -> Tensor:
        directions = F.normalize(torch.randn(sources.shape, generator=rng))
        lengths = (
            self.config.start_noise * self._spread * torch.rand(len(sources), 1, generator=rng)
        )
        return sources + (lengths * directions).to(sources.device)

    def _moved(self, features: Tensor, labels: Tensor, source_classes: Tensor) -> Tensor:
        length = self.config.move_length * self._spread
        for _ in range(self.config.num_moves):
            with torch.enable_grad():
                features = features.detach().requires_grad_()
                logits = self.classifier(features)
                away = logits.gather(1, source_classes.unsqueeze(1)).sum()
                towards = F.cross_entropy(logits, labels, reduction="sum")
                objective = towards + self.config.source_penalty * away
            (slopes,) = torch.autograd.grad(objective, [features])
            features = features.detach() - length * F.normalize(slopes)
        return features


def source_chances(class_sizes: Tensor, *, beta: float) -> Tensor:
    """Return how likely each class is to give the source for each label.

    Source: Kim et al. 2020: in proportion to ``1 - beta ** max(N_k0 - N_k, 0)``.

    Args:
        class_sizes: Rows per class. Shape ``(C,)``, int64.
        beta: In [0, 1); near 1, a source's class must be much larger than the label's.

    Returns:
        Not normalised; the line of a label with no larger class is 0. Shape ``(C, C)``, float32,
        a line for each label.
    """
    more = (class_sizes.unsqueeze(0) - class_sizes.unsqueeze(1)).clamp(min=0)  # (label, source)
    return (1 - torch.as_tensor(beta, dtype=torch.float64) ** more).float()
