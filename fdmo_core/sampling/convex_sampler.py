"""ConvexSampler: fdmo's generators behind imbalanced-learn's ``fit_resample``."""

import warnings
from collections.abc import Iterator
from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_sampling_strategy, check_target_type
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from fdmo_core.errors import ConfigError
from fdmo_core.interfaces import LabelledFeatures
from fdmo_core.sampling.artificial_rows import (
    ArtificialBatch,
    ArtificialRows,
    GeneratorSettings,
    Sources,
)
from fdmo_core.sampling.feature_arrays import (
    FloatArray,
    as_floats,
    as_tensor,
    device_of,
    require_dense,
    validated,
)
from fdmo_core.sampling.phase2_on_rows import section
from fdmo_core.sampling.sampling_strategies import require_mapping, whole_number

CONTAINERS = ("default", "pandas")
Batch = tuple[Any, Any]


class ConvexSampler(BaseOverSampler):  # type: ignore[misc]  # imbalanced-learn has no types
    """Oversamples rare classes by any of fdmo's generators.

    Rows should be scaled, as for any method that mixes rows or measures distances. Arithmetic is
    in float32; the rows that were given are returned unchanged, before the artificial ones.

    A generator that learns is trained first, by Algorithm 1 of the paper, on what the smaller
    classes lack. One that learns nothing is asked at once.

    Args:
        sampling_strategy: Which class gets how many rows, in every form that imbalanced-learn
            knows for over-sampling.
        generator: Name of a generator, as ``fdmo plugins`` lists them.
        generator_options: Its settings, by their names in a run's configuration.
        samples_per_class: Rows drawn per class and batch, N_s in the paper; a class with fewer
            gives all that it has.
        epochs: Passes of the training over the rows; plays no part where nothing is learned.
        batch_size: Rows of a step of the training, and of a batch where no other is asked for.
        device: Where to compute; ``"auto"`` is CUDA where there is one.
        keep_sources: Whether ``fit_resample`` keeps of every artificial row where it is from.
        random_state: An int, a RandomState, or None for numpy's global one. Nothing else decides
            what is drawn, and no other global state is read or changed.

    Attributes:
        sampling_strategy_: Rows asked for beyond those given, by label.
        classes_: The labels in order. Shape ``(C,)``.
        n_steps_: Steps of training that were done; 0 for a generator that learns nothing.
        sources_: Numbers of the rows that each artificial row is from, with those of weight 0;
            None where the generator does not name them. Only with ``keep_sources``, after
            ``fit_resample``. Shape ``(M, S)``, int64.
        source_weights_: What it took of each; likewise. Shape ``(M, S)``, float32.
        n_features_in_: F.
        feature_names_in_: Of a data frame's columns. Shape ``(F,)``.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseOverSampler._parameter_constraints,
        "generator": [str],
        "generator_options": [dict, None],
        "samples_per_class": [Interval(Integral, 1, None, closed="left")],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "device": [StrOptions({"auto", "cpu", "cuda"})],
        "keep_sources": ["boolean"],
    }

    def __init__(
        self,
        *,
        sampling_strategy: Any = "auto",
        generator: str = "convexgan",
        generator_options: dict[str, Any] | None = None,
        samples_per_class: int = 100,
        epochs: int = 10,
        batch_size: int = 256,
        device: str = "auto",
        keep_sources: bool = False,
        random_state: Any = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.generator = generator
        self.generator_options = generator_options
        self.samples_per_class = samples_per_class
        self.epochs = epochs
        self.batch_size = batch_size
        self.device = device
        self.keep_sources = keep_sources
        self.random_state = random_state

    def fit(self, X: Any, y: Any, **params: Any) -> "ConvexSampler":  # noqa: N803
        """Learn what :meth:`iter_batches` needs, without making an artificial row.

        Args:
            X: Array or data frame. Shape ``(N, F)``.
            y: Labels. Shape ``(N,)``.
            params: Not used.

        Raises:
            DataError: The features are sparse or not finite.
            ConfigError: The generator or one of its settings is wrong.
            ValueError: What scikit-learn and imbalanced-learn refuse.
        """
        self._validate_params()
        features, labels, _ = self._check_X_y(X, y)
        self.sampling_strategy_ = check_sampling_strategy(
            self.sampling_strategy, labels, self._sampling_type
        )
        self._learn(features, labels)
        return self

    def fit_resample(self, X: Any, y: Any, **params: Any) -> Batch:  # noqa: N803
        """Return the given rows, then the artificial ones, class after class.

        Args:
            X: Array or data frame. Shape ``(N, F)``.
            y: Labels. Shape ``(N,)``.
            params: Not used.

        Returns:
            Features and labels in the types that were given. Columns of whole numbers become
            floats, for a mixture of whole numbers is none.

        Raises:
            DataError: The features are sparse or not finite.
            ConfigError: The generator or one of its settings is wrong.
            ValueError: What scikit-learn and imbalanced-learn refuse.
        """
        require_dense(X)
        features, labels = super().fit_resample(as_floats(X), y, **params)
        own = getattr(self, "_sklearn_output_config", {})
        container = own.get("transform", get_config()["transform_output"])
        if container == "pandas" and isinstance(features, np.ndarray):
            import pandas as pd  # type: ignore[import-untyped]

            features = pd.DataFrame(features, columns=self.get_feature_names_out())
        return features, labels

    def iter_batches(
        self,
        batch_size: int | None = None,
        *,
        num: int | None = None,
        as_: Literal["numpy", "torch"] = "numpy",
    ) -> Iterator[Batch]:
        """Yield artificial rows and their labels, a batch at a time, after ``fit``.

        No more than a batch is held, however many are asked for. Two calls yield the same; whoever
        wants several epochs asks once for as many rows.

        Args:
            batch_size: B; by default that of the sampler. The last batch may be smaller.
            num: How many rows in all, their classes drawn in proportion to what each lacks; by
                default the rows that ``sampling_strategy`` asks for, class after class.
            as_: ``"numpy"`` yields arrays in the precision and with labels of the kind that were
                given; ``"torch"`` yields tensors on the sampler's device, float32, with int64
                places in ``classes_`` for labels.

        Raises:
            ConfigError: An argument is out of range.
        """
        check_is_fitted(self, "n_steps_")
        size = self.batch_size if batch_size is None else batch_size
        if size < 1 or (num is not None and num < 0) or as_ not in ("numpy", "torch"):
            raise ConfigError(
                f"Batches of {size} rows were asked for, num = {num} and as_ = {as_!r}. Expected "
                f"at least 1 row a batch, num of at least 0 or None, and as_ 'numpy' or 'torch'. "
                f"Correct the argument."
            )
        if self._artificial is None:
            return iter(())
        batches = self._artificial.batches(size, num)
        if as_ == "torch":
            return ((made.features, labels.to(made.features.device)) for made, labels in batches)
        return ((self._array(one), self._labels(one)) for one in batches)

    def set_output(self, *, transform: str | None = None) -> "ConvexSampler":
        """Choose what ``fit_resample`` returns features in, as scikit-learn's transformers do.

        Args:
            transform: ``"default"`` for the type that was given, ``"pandas"`` for a data frame,
                None to leave it as it is.

        Raises:
            ConfigError: It is none of these.
        """
        if transform is None:
            return self
        if transform not in CONTAINERS:
            raise ConfigError(
                f"Unknown output {transform!r}. Expected one of: {', '.join(CONTAINERS)}. Convert "
                f"the result yourself."
            )
        self._sklearn_output_config = {"transform": transform}
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags

    def _check_X_y(self, X: Any, y: Any, accept_sparse: None = None) -> Any:  # noqa: N802, N803
        labels, is_one_vs_all = check_target_type(y, indicate_one_vs_all=True)
        features, labels = validated(self, X, labels)
        require_mapping(self.sampling_strategy, labels)
        return features, labels, is_one_vs_all

    def _fit_resample(self, X: FloatArray, y: Any, **params: Any) -> Batch:  # noqa: N803
        self._learn(X, y)
        num_real, num_artificial = len(y), sum(self._wanted)
        features = np.empty((num_real + num_artificial, X.shape[1]), dtype=X.dtype)
        labels = np.empty(num_real + num_artificial, dtype=y.dtype)
        features[:num_real], labels[:num_real] = X, y
        sources: list[Sources | None] = []
        end = num_real
        made = self._artificial
        for batch in made.batches(self.batch_size, None) if made else ():
            start, end = end, end + len(batch.labels)
            features[start:end], labels[start:end] = self._array(batch), self._labels(batch)
            if self.keep_sources and made:
                sources.append(made.sources(batch))
        if self.keep_sources:
            self.sources_, self.source_weights_ = _joined(sources)
        return features, labels

    def _learn(self, features: FloatArray, labels: Any) -> None:
        """Fit the generator, unless nothing is asked of it."""
        self.classes_, places = np.unique(labels, return_inverse=True)
        self._wanted = [whole_number(self.sampling_strategy_.get(one, 0)) for one in self.classes_]
        self._dtype = features.dtype
        settings = GeneratorSettings(
            section(self.generator, self.generator_options),
            samples_per_class=int(self.samples_per_class),
            epochs=int(self.epochs),
            batch_size=int(self.batch_size),
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
        )
        settings.run(learns=True)  # wrong settings are refused though there be nothing to do
        device = device_of(self.device)
        self._artificial = None
        if any(self._wanted):
            self._warn_of_single_rows(places)
            rows = LabelledFeatures(as_tensor(features), torch.from_numpy(places))
            self._artificial = ArtificialRows(
                rows, torch.tensor(self._wanted), settings, device=device
            )
        else:
            warnings.warn(
                "Every class has as many rows as are asked for. Expected a class that lacks some. "
                "The data is returned unchanged; nothing needs to be done.",
                stacklevel=2,
            )
        self.n_steps_ = self._artificial.num_steps if self._artificial else 0

    def _warn_of_single_rows(self, places: NDArray[np.int64]) -> None:
        counts = np.bincount(places)
        single = self.classes_[(counts == 1) & (np.array(self._wanted) > 0)].tolist()
        if single:
            warnings.warn(
                f"Classes with a single row: {single}. Expected at least two to mix. Their "
                f"artificial rows are copies; add rows, or leave them out of sampling_strategy.",
                stacklevel=2,
            )

    def _array(self, batch: ArtificialBatch) -> Any:
        return batch.made.features.cpu().numpy().astype(self._dtype, copy=False)

    def _labels(self, batch: ArtificialBatch) -> Any:
        return self.classes_[batch.labels.numpy()]


def _joined(sources: list[Sources | None]) -> tuple[Any, Any]:
    """Return row numbers and weights of all batches, or None twice where they are not named."""
    named = [one for one in sources if one is not None]
    if not named:
        return None, None
    rows, weights = (torch.cat(column).numpy() for column in zip(*named, strict=True))
    return rows, weights
