"""ADASYN in feature space (He et al. 2008)."""

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
from fdmo_plugins.oversamplers.interpolation import Interpolation, foreign_neighbours


class AdasynConfig(ComponentConfig):
    """Options of :class:`Adasyn`."""

    name: Literal["adasyn"] = "adasyn"
    neighbors: int = Field(
        default=5, ge=1, description="Nearest rows of the class, one of which is mixed in (k)."
    )
    neighbors_of_all: int = Field(
        default=10,
        ge=1,
        description="Nearest rows of all classes, which say how hard a row is to learn (m).",
    )


class Adasyn(FeatureGenerator):
    """Does as SMOTE, more often from rows that are surrounded by other classes.

    Source: He et al. 2008, steps 2 to 5: a row's share of the artificial features is in
    proportion to the number of other classes' rows among its ``neighbors_of_all`` nearest ones.

    Departs from He et al.: rows are drawn with these chances, where the algorithm rounds their
    numbers. The neighbour to mix in is one of the ``neighbors`` nearest of the class, as in
    imbalanced-learn, where the paper looks for it among the neighbours of all classes and may find
    none. A class that no other one comes near draws its rows with equal chances. Small classes
    are treated as by :class:`~fdmo_plugins.oversamplers.smote.Smote`.
    """

    config_class: ClassVar[type[ComponentConfig]] = AdasynConfig
    config: AdasynConfig
    _points: Interpolation

    def fit(self, real: LabelledFeatures, classifier: nn.Module) -> None:
        """Take note of the rows; see :meth:`FeatureGenerator.fit`."""

        def lots(rows: Tensor) -> Tensor:
            return lots_of_difficulty(foreign_neighbours(real, rows, self.config.neighbors_of_all))

        self._points = Interpolation(
            real, num_classes=self.num_classes, neighbors=self.config.neighbors, lots=lots
        )

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return points between rows; see :meth:`FeatureGenerator.forward`."""
        return self._points.make(labels, rng, num_streams=len(self.stream_dims))


def lots_of_difficulty(is_foreign: Tensor) -> Tensor:
    """Return how many neighbours of each row are of another class; 1 for all if none is.

    Source: He et al. 2008, step 2, before the division by the number of neighbours.

    Args:
        is_foreign: Which of a row's neighbours are of another class. Shape ``(n, m)``, bool.

    Returns:
        Shape ``(n,)``, int64.
    """
    count = is_foreign.sum(dim=1)
    return count if count.any() else torch.ones_like(count)
