"""What an application may turn: the class frequencies it expects, and how far to follow them."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdmo_core.errors import ConfigError
from fdmo_export.metadata import Metadata

TargetPrior = ArrayLike | Mapping[str, float] | Literal["balanced", "training"]
"""Probabilities in class order or by class name; equal ones; or those of the training images."""

SUM_TOLERANCE = 1e-3  # of numbers that were rounded to be written
LARGEST_TAU = 1000.0  # far above any use; scores stay finite with it, for log(1e-12) is -28


def read_prior(prior: TargetPrior, metadata: Metadata) -> NDArray[np.float32]:
    """Return how frequent each class is where the file is used. Shape ``(C,)``, float32.

    Raises:
        ConfigError: It is no distribution over the classes of the file.
    """
    names = metadata.class_names
    if isinstance(prior, str):
        return _named(prior, metadata)
    if isinstance(prior, Mapping):
        unknown = [str(one) for one in prior if one not in names]
        missing = [one for one in names if one not in prior]
        for these, what in ((unknown, "names no class of the file"), (missing, "is not in it")):
            if these:
                raise ConfigError(
                    f"target_prior: {', '.join(map(repr, these[:5]))} {what}. Expected a "
                    f"probability for each of its {len(names)} classes. Compare with class_names."
                )
        prior = [prior[one] for one in names]
    return _checked(_numbers(prior), len(names))


def _named(prior: str, metadata: Metadata) -> NDArray[np.float32]:
    counts = np.asarray(metadata.entries["class_counts"], dtype=np.float64)
    if prior == "balanced":
        counts = np.ones_like(counts)
    elif prior != "training":
        raise ConfigError(
            f"target_prior is {prior!r}. Expected 'balanced', 'training', or probabilities. Give "
            f"one of them."
        )
    return np.asarray(counts / counts.sum(), dtype=np.float32)


def _numbers(prior: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(prior, dtype=np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        raise ConfigError(
            f"target_prior is not numeric ({error}). Expected a probability for each class. Give "
            f"numbers."
        ) from error


def _checked(prior: NDArray[np.float64], num_classes: int) -> NDArray[np.float32]:
    wrong = ""
    if prior.shape != (num_classes,):
        wrong = f"has shape {prior.shape}"
    elif not np.isfinite(prior).all():
        wrong = f"has {(~np.isfinite(prior)).sum()} number(s) that are not finite"
    elif (prior < 0).any():
        wrong = f"has a negative probability, {prior.min():g}"
    elif abs(prior.sum() - 1) > SUM_TOLERANCE:
        wrong = f"sums to {prior.sum():g}"
    if wrong:
        raise ConfigError(
            f"target_prior {wrong}. Expected {num_classes} probabilities, one a class, that sum "
            f"to 1. Divide how often each class occurs by the sum of these numbers."
        )
    return prior.astype(np.float32)


def read_tau(tau: float) -> NDArray[np.float32]:
    """Return how far the scores follow the target prior. Shape ``()``, float32.

    Raises:
        ConfigError: It is no number from -1000 to 1000.
    """
    array = np.asarray(tau)
    is_number = array.shape == () and array.dtype.kind in "iuf"
    if not is_number or not abs(array) <= LARGEST_TAU:  # NaN is not
        raise ConfigError(
            f"tau is {tau!r}. Expected a number from {-LARGEST_TAU:g} to {LARGEST_TAU:g}: 0 not to "
            f"follow the target prior, 1 to follow it. Give such a number."
        )
    return np.asarray(tau, dtype=np.float32)
