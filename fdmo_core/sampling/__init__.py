"""fdmo's methods on feature arrays, with the interfaces of scikit-learn and imbalanced-learn.

Both are an extra, and so the two names are imported when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from fdmo_core.errors import MissingExtraError

if TYPE_CHECKING:
    from fdmo_core.sampling.convex_sampler import ConvexSampler
    from fdmo_core.sampling.rebalanced_classifier import RebalancedClassifier

_HOME_OF = {
    "ConvexSampler": "fdmo_core.sampling.convex_sampler",
    "RebalancedClassifier": "fdmo_core.sampling.rebalanced_classifier",
}
_OF_THE_EXTRA = {"sklearn", "imblearn", "sklearn_compat"}

__all__ = ["ConvexSampler", "RebalancedClassifier"]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'fdmo_core.sampling' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOME_OF[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _OF_THE_EXTRA:
            raise
        raise MissingExtraError(
            f"The package '{error.name}' is not installed. Expected scikit-learn and "
            f"imbalanced-learn for {name}. Install both with: pip install 'fdmo[sklearn]'."
        ) from error
