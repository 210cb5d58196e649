"""Borderline-SMOTE in feature space (Han et al. 2005)."""

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


class BorderlineSmoteConfig(ComponentConfig):
    """Options of :class:`BorderlineSmote`."""

    name: Literal["borderline-smote"] = "borderline-smote"
    neighbors: int = Field(
        default=5, ge=1, description="Nearest rows of the class, one of which is mixed in (k)."
    )
    neighbors_of_all: int = Field(
        default=10,
        ge=1,
        description="Nearest rows of all classes, which say whether a row is at the border (m).",
    )


class BorderlineSmote(FeatureGenerator):
    """Does as SMOTE, from the rows at the border of their class only.

    Source: Han et al. 2005, Borderline-SMOTE1: a row is in danger if at least half, but not all, of
    its ``neighbors_of_all`` nearest rows are of other classes.

    Departs from Han et al.: there may be more than two classes, so all others stand for the
    majority. A class without a row in danger uses all its rows. Small classes are treated as by
    :class:`~fdmo_plugins.oversamplers.smote.Smote`.
    """

    config_class: ClassVar[type[ComponentConfig]] = BorderlineSmoteConfig
    config: BorderlineSmoteConfig
    _points: Interpolation

    def fit(self, real: LabelledFeatures, classifier: nn.Module) -> None:
        """Take note of the rows; see :meth:`FeatureGenerator.fit`."""

        def lots(rows: Tensor) -> Tensor:
            return lots_of_danger(foreign_neighbours(real, rows, self.config.neighbors_of_all))

        self._points = Interpolation(
            real, num_classes=self.num_classes, neighbors=self.config.neighbors, lots=lots
        )

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return points between rows; see :meth:`FeatureGenerator.forward`."""
        return self._points.make(labels, rng, num_streams=len(self.stream_dims))


def lots_of_danger(is_foreign: Tensor) -> Tensor:
    """Return 1 for rows in danger and 0 for others; 1 for all if none is.

    Source: Han et al. 2005, Borderline-SMOTE1, step 2.

    Args:
        is_foreign: Which of a row's neighbours are of another class. Shape ``(n, m)``, bool.

    Returns:
        Shape ``(n,)``, int64.
    """
    count, all_ = is_foreign.sum(dim=1), is_foreign.shape[1]
    in_danger = (2 * count >= all_) & (count < all_)
    return (in_danger if in_danger.any() else ~in_danger).long()
