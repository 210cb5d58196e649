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
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from fdmo_core.config import Run
from fdmo_core.errors import ConfigError, DataError
from fdmo_core.folds import assign_folds
from fdmo_core.interfaces import HeldOut, HeldOutSource, LabelledFeatures
from fdmo_core.randomness import rng_for
from fdmo_core.sampling.feature_arrays import (
    FloatArray,
    as_floats,
    as_tensor,
    device_of,
    validated,
)
from fdmo_core.sampling.head import fit_head, out_of_fold, validation_rows
from fdmo_core.sampling.phase2_on_rows import (
    describe_run,
    hold,
    installed_components,
    rebalance_rows,
    section,
)

ROWS_A_BATCH = 4096  # of predictions


class RebalancedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # no types there
    """A linear classifier that is made fair to rare classes by any of fdmo's rebalancers.

    Phase 1 is multinomial logistic regression on the rows. Phase 2 is the rebalancer, on a
    dictionary of all rows. Training is in float32, predictions are in float64.

    A rebalancer that fits a strength (``fit_on``) does so on *out-of-fold* scores, those of heads
    that are each trained without one of ``folds`` parts of the rows, unless ``validation_fraction``
    sets rows aside: neither phase learns from them, and the rebalancer's own default stands. What
    ``rebalancer_options`` says of ``fit_on`` goes before both.

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
        _require_one_label_a_row(y)
        features, labels = validated(self, as_floats(X), y)
        self.classes_, places = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                f"All {len(places)} rows are of one class, {self.classes_.tolist()[0]!r}. Expected "
                f"at least two classes. Check the labels."
            )
        self.scaler_ = StandardScaler().fit(features) if self.standardize else None
        run = self._describe_run()
        rows = LabelledFeatures(as_tensor(self._scaled(features)), torch.from_numpy(places))
        set_aside = validation_rows(
            rows.labels, self.validation_fraction, rng_for(run.core.seed, "validation")
        )
        self._train(run, _part(rows, ~set_aside), validation=_part(rows, set_aside))
        return self

    def decision_function(self, X: Any) -> Any:  # noqa: N803
        """Return the scores of all classes; of two classes, how much the second is ahead.

        Args:
            X: Array or data frame. Shape ``(N, F)``.

        Returns:
            Shape ``(N, C)``, or ``(N,)`` for two classes, float64.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        """Return the softmax of the scores, shape ``(N, C)``, float64.

        Args:
            X: Array or data frame. Shape ``(N, F)``.
        """
        return torch.from_numpy(self._logits(X)).softmax(dim=1).numpy()

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return the label of the highest score, shape ``(N,)``.

        Args:
            X: Array or data frame. Shape ``(N, F)``.
        """
        best = self._logits(X).argmax(axis=1)
        return self.classes_[best]

    def _describe_run(self) -> Run:
        options = self.rebalancer_options or {}
        if not self.validation_fraction and _can_choose_its_source(self.rebalancer):
            options = {"fit_on": "out-of-fold", **options}
        sections = {
            "rebalancer": section(self.rebalancer, options),
            "generator": section(self.generator, self.generator_options),
            "loss": section(self.loss, self.loss_options),
        }
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return describe_run(seed=seed, **sections)

    def _scaled(self, features: FloatArray) -> FloatArray:
        if self.scaler_ is None:
            return features
        scaled: FloatArray = self.scaler_.transform(features)
        return scaled

    def _train(self, run: Run, rows: LabelledFeatures, *, validation: LabelledFeatures) -> None:
        num_classes = len(self.classes_)
        dictionary = hold(run, rows, num_classes, device=device_of(self.device))
        store = dictionary.store
        head = fit_head(store, num_classes, penalty=self.head_penalty)

        def held_out(source: HeldOutSource) -> HeldOut:
            if source == "validation":
                return _scored(head, validation)
            folds = assign_folds(
                store.labels.cpu(), int(self.folds), rng_for(run.core.seed, "folds")
            )
            return out_of_fold(store, folds, num_classes, penalty=self.head_penalty)

        if _has_nothing_to_do(run, dictionary.class_sizes):
            classifier: nn.Module = head
            self.n_steps_ = 0
        else:
            rebalancer = rebalance_rows(run, dictionary, head, held_out=held_out)
            classifier, self.n_steps_ = rebalancer.classifier, rebalancer.num_steps
        self._classifier = classifier.cpu().double().eval()

    @torch.no_grad()
    def _logits(self, X: Any) -> Any:  # noqa: N803
        """Return the scores, shape ``(N, C)``, float64; a row's do not depend on other rows."""
        check_is_fitted(self, "n_steps_")
        features = validated(self, as_floats(X))
        logits = np.empty((len(features), len(self.classes_)))
        for part in gen_batches(len(features), ROWS_A_BATCH):
            scaled = np.asarray(self._scaled(features[part]), dtype=np.float64)
            logits[part] = self._classifier(torch.from_numpy(np.array(scaled))).numpy()
        return logits


def _require_one_label_a_row(labels: Any) -> None:
    if "multilabel" in type_of_target(labels) or "multioutput" in type_of_target(labels):
        raise DataError(
            "Multilabel and multioutput targets are not supported. Expected one label a row. Train "
            "one classifier for each output."
        )
    check_classification_targets(labels)


def _can_choose_its_source(rebalancer: str) -> bool:
    """Return whether a rebalancer has the setting ``fit_on``."""
    components = installed_components().components()
    return any(
        one.name == rebalancer and "fit_on" in one.component.config_class.model_fields
        for one in components
    )


def _part(rows: LabelledFeatures, chosen: Tensor) -> LabelledFeatures:
    return rows if chosen.all() else LabelledFeatures(*(column[chosen] for column in rows))


@torch.no_grad()
def _scored(head: nn.Module, rows: LabelledFeatures) -> HeldOut:
    if not len(rows.labels):
        raise DataError(
            "No rows are set aside for validation. Expected some to choose a strength on. Set "
            "validation_fraction, or choose rebalancer_options={'fit_on': 'out-of-fold'}."
        )
    features, labels = (one.to(head.get_parameter("weight").device) for one in rows)
    return HeldOut(features, head(features), labels)


def _has_nothing_to_do(run: Run, counts: Tensor) -> bool:
    """Return whether the rebalancer refuses classes of equal size, and warn if it does."""
    if not (counts == counts[0]).all():
        return False
    try:
        run.rebalancer.component.check_counts(run.rebalancer.config, counts)
    except ConfigError:
        warnings.warn(
            f"All {len(counts)} classes have {int(counts[0])} rows. Expected some with fewer than "
            f"others. Phase 1's classifier is kept; nothing needs to be done.",
            stacklevel=4,
        )
        return True
    return False
