"""Settings of cross-fitting: models that each leave out a part of the training images."""

from pydantic import Field

from fdmo_core.settings import Settings


class CrossfitConfig(Settings):
    """How training images are scored by models that did not learn from them."""

    folds: int = Field(
        default=4, ge=2, le=20, description="Parts that are left out in turn; a model for each."
    )
    ridge: float = Field(
        default=0.01,
        gt=0,
        description="Strength of the ridge that maps a fold's features into the space of phase 1, "
        "as a share of their mean variance.",
    )
    dictionary: bool = Field(
        default=False,
        description="Whether the dictionary holds cross-fitted features in place of phase 1's own.",
    )
