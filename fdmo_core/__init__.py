"""The engine of fdmo, and the names that plugin authors import."""

from fdmo_core.errors import ConfigError, DataError, FdmoError, ShapeError
from fdmo_core.hookspecs import hookimpl
from fdmo_core.interfaces import (
    ArtificialFeatures,
    ComponentConfig,
    Dataset,
    DatasetConfig,
    DrawnFeatures,
    Extractor,
    FeatureBatch,
    FeatureDictionary,
    FeatureGenerator,
    Game,
    LabelledFeatures,
    LandmarkHead,
    LandmarkPrediction,
    Loss,
    Phase2Parts,
    Rebalancer,
)
from fdmo_core.samples import Sample, Split, Splits, Visibility

__all__ = [
    "ArtificialFeatures",
    "ComponentConfig",
    "ConfigError",
    "DataError",
    "Dataset",
    "DatasetConfig",
    "DrawnFeatures",
    "Extractor",
    "FdmoError",
    "FeatureBatch",
    "FeatureDictionary",
    "FeatureGenerator",
    "Game",
    "LabelledFeatures",
    "LandmarkHead",
    "LandmarkPrediction",
    "Loss",
    "Phase2Parts",
    "Rebalancer",
    "Sample",
    "ShapeError",
    "Split",
    "Splits",
    "Visibility",
    "hookimpl",
]
