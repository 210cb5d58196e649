"""SMOTE in feature space (Chawla et al. 2002)."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fdmo_core import (
    ArtificialFeatures,
    ComponentConfig,
    DrawnFeatures,
    FeatureGenerator,
    LabelledFeatures,
)
from fdmo_plugins.oversamplers.interpolation import Interpolation


class SmoteConfig(ComponentConfig):
    """Options of :class:`Smote`."""

    name: Literal["smote"] = "smote"
    neighbors: int = Field(
        default=5, ge=1, description="Nearest rows of the class, one of which is mixed in (k)."
    )


class Smote(FeatureGenerator):
    """Makes points between a row and one of its nearest neighbours in the class.

    Source: Chawla et al. 2002. Neighbours are those of the joined feature, among all rows of the
    dictionary, so the drawn features are not used.

    Departs from Chawla et al.: rows are drawn with equal chances, where the algorithm takes each
    equally often. A class with fewer than ``neighbors`` + 1 rows uses all it has, and a single row
    is copied; imbalanced-learn refuses such a class.
    """

    config_class: ClassVar[type[ComponentConfig]] = SmoteConfig
    config: SmoteConfig
    _points: Interpolation

    def fit(self, real: LabelledFeatures, classifier: nn.Module) -> None:
        """Take note of the rows; see :meth:`FeatureGenerator.fit`."""
        self._points = Interpolation(
            real,
            num_classes=self.num_classes,
            neighbors=self.config.neighbors,
            lots=torch.ones_like,
        )

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return points between rows; see :meth:`FeatureGenerator.forward`."""
        return self._points.make(labels, rng, num_streams=len(self.stream_dims))
