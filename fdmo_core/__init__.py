"""The engine of fdmo, and the names that plugin authors import.

The names are imported when they are first asked for: an application that only runs an exported
model, and ``fdmo --help``, need not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fdmo_core.errors import ConfigError, DataError, ExportError, FdmoError, ShapeError
    from fdmo_core.hookspecs import hookimpl
    from fdmo_core.interfaces import (
        HEATMAP_SIZE,
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
        HeldOut,
        HeldOutSource,
        LabelledFeatures,
        LandmarkHead,
        LandmarkPrediction,
        Loss,
        Phase2Parts,
        Rebalancer,
    )
    from fdmo_core.samples import NO_IMAGE, Sample, Split, Splits, Visibility

_HOME_OF = {
    "ConfigError": "fdmo_core.errors",
    "DataError": "fdmo_core.errors",
    "ExportError": "fdmo_core.errors",
    "FdmoError": "fdmo_core.errors",
    "ShapeError": "fdmo_core.errors",
    "hookimpl": "fdmo_core.hookspecs",
    "ArtificialFeatures": "fdmo_core.interfaces",
    "ComponentConfig": "fdmo_core.interfaces",
    "Dataset": "fdmo_core.interfaces",
    "DatasetConfig": "fdmo_core.interfaces",
    "DrawnFeatures": "fdmo_core.interfaces",
    "Extractor": "fdmo_core.interfaces",
    "FeatureBatch": "fdmo_core.interfaces",
    "FeatureDictionary": "fdmo_core.interfaces",
    "FeatureGenerator": "fdmo_core.interfaces",
    "Game": "fdmo_core.interfaces",
    "HEATMAP_SIZE": "fdmo_core.interfaces",
    "HeldOut": "fdmo_core.interfaces",
    "HeldOutSource": "fdmo_core.interfaces",
    "LabelledFeatures": "fdmo_core.interfaces",
    "LandmarkHead": "fdmo_core.interfaces",
    "LandmarkPrediction": "fdmo_core.interfaces",
    "Loss": "fdmo_core.interfaces",
    "Phase2Parts": "fdmo_core.interfaces",
    "Rebalancer": "fdmo_core.interfaces",
    "NO_IMAGE": "fdmo_core.samples",
    "Sample": "fdmo_core.samples",
    "Split": "fdmo_core.samples",
    "Splits": "fdmo_core.samples",
    "Visibility": "fdmo_core.samples",
}

__all__ = [
    "HEATMAP_SIZE",
    "NO_IMAGE",
    "ArtificialFeatures",
    "ComponentConfig",
    "ConfigError",
    "DataError",
    "Dataset",
    "DatasetConfig",
    "DrawnFeatures",
    "ExportError",
    "Extractor",
    "FdmoError",
    "FeatureBatch",
    "FeatureDictionary",
    "FeatureGenerator",
    "Game",
    "HeldOut",
    "HeldOutSource",
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


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'fdmo_core' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
