"""RebalancedClassifier: both phases on features, as a scikit-learn classifier."""

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from fdmo_core.config import Run
from fdmo_core.errors import DataError
from fdmo_core.interfaces import HeldOut, HeldOutSource, LabelledFeatures
from fdmo_core.randomness import rng_for
from fdmo_core.sampling.feature_arrays import (
    FloatArray,
    as_floats,
    as_tensor,
    device_of,
    validated,
)
from fdmo_core.sampling.head import assign_folds, fit_head, out_of_fold
from fdmo_core.sampling.phase2_on_rows import describe_run, hold, rebalance_rows, section

ROWS_A_BATCH = 4096  # of predictions


class RebalancedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # no types there
    """A linear classifier that is made fair to rare classes by any of fdmo's rebalancers.

    Phase 1 is multinomial logistic regression on the rows. Phase 2 is the rebalancer, on a
    dictionary of all rows. Training is in float32, predictions are in float64.

    A rebalancer that fits a strength gets *out-of-fold* scores: those of heads that are each
    trained without one of ``folds`` parts of the rows. One that is told to fit it on validation
    data gets a share of every class that neither phase learns from, ``validation_fraction``.

    Args:
        rebalancer: Name of a rebalancer, as ``fdmo plugins`` lists them.
        rebalancer_options: Its settings, by their names in a run's configuration.
        generator: Name of a generator, for a rebalancer that uses one.
        generator_options: Its settings.
        loss: Name of the loss that the rebalancer minimises.
        loss_options: Its settings.
        standardize: Whether every feature gets mean 0 and variance 1 first, by the rows of ``fit``.
        head_penalty: Strength of phase 1's penalty on squared weights; scikit-learn's ``1 / C``.
        folds: Parts that are left out in turn for out-of-fold scores.
        validation_fraction: Share of each class that is set aside, rounded down.
        device: Where to train; ``"auto"`` is CUDA where there is one.
        random_state: An int, a RandomState, or None for numpy's global one. Nothing else decides
            what is drawn, and no other global state is read or changed.

    Attributes:
        classes_: The labels in order. Shape ``(C,)``.
        scaler_: The StandardScaler, or None.
        n_steps_: Steps of phase 2.
        n_features_in_: F.
        feature_names_in_: Of a data frame's columns. Shape ``(F,)``.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "rebalancer": [str],
        "rebalancer_options": [dict, None],
        "generator": [str],
        "generator_options": [dict, None],
        "loss": [str],
        "loss_options": [dict, None],
        "standardize": ["boolean"],
        "head_penalty": [Interval(Real, 0, None, closed="neither")],
        "folds": [Interval(Integral, 2, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "device": [StrOptions({"auto", "cpu", "cuda"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        rebalancer: str = "adversarial",
        *,
        rebalancer_options: dict[str, Any] | None = None,
        generator: str = "convexgan",
        generator_options: dict[str, Any] | None = None,
        loss: str = "cross-entropy",
        loss_options: dict[str, Any] | None = None,
        standardize: bool = True,
        head_penalty: float = 1.0,
        folds: int = 5,
        validation_fraction: float = 0.0,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.rebalancer = rebalancer
        self.rebalancer_options = rebalancer_options
        self.generator = generator
        self.generator_options = generator_options
        self.loss = loss
        self.loss_options = loss_options
        self.standardize = standardize
        self.head_penalty = head_penalty
        self.folds = folds
        self.validation_fraction = validation_fraction
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "RebalancedClassifier":  # noqa: N803
        """Train both phases.

        Args:
            X: Array or data frame. Shape ``(N, F)``.
            y: Labels of at least two classes. Shape ``(N,)``.

        Raises:
            DataError: The features are sparse or not finite, or there is one class only.
            ConfigError: A component or one of its settings is wrong.
            TrainingError: The training diverged.
            ValueError: What scikit-learn refuses.
        """
        self._validate_params()
        features, labels = validated(self, as_floats(X), y)
        check_classification_targets(labels)
        self.classes_, places = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                f"All {len(places)} rows are of one class, {self.classes_[0]!r}. Expected at least "
                f"two classes. Check the labels."
            )
        self.scaler_ = StandardScaler().fit(features) if self.standardize else None
        run = self._run()
        rows = LabelledFeatures(as_tensor(self._scaled(features)), torch.from_numpy(places))
        set_aside = self._set_aside(rows.labels, seed=run.core.seed)
        self._rebalance(run, _chosen(rows, ~set_aside), _chosen(rows, set_aside))
        return self
