"""What a user's array must be, and what becomes of it: dense, finite, of floating point."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse  # type: ignore[import-untyped]
from sklearn_compat.utils.validation import validate_data  # type: ignore[import-untyped]
from torch import Tensor

from fdmo_core.errors import ConfigError, DataError

FloatArray = NDArray[np.float32] | NDArray[np.float64]


def require_dense(features: Any) -> None:
    """Refuse sparse matrices and sparse data frames.

    Raises:
        DataError: The features are sparse; the message says why they must not be.
    """
    if issparse(features) or (hasattr(features, "dtypes") and hasattr(features, "sparse")):
        raise DataError(
            "The features are sparse. Expected a dense array: a mixture of rows has a number "
            "wherever one of them has, so that artificial rows are dense, and so is the "
            "arithmetic on them. Give features.toarray(), or reduce the columns first, for "
            "instance by TruncatedSVD."
        )


def as_floats(features: Any) -> Any:
    """Return a data frame with its whole numbers and truth values as floats; all else unchanged.

    A mixture of 0 and 1 is neither, so a column that holds mixtures is one of floats.
    """
    if not hasattr(features, "columns") or not hasattr(features, "astype"):
        return features
    whole = [
        one
        for one, kind in zip(features.columns, features.dtypes, strict=True)
        if getattr(kind, "kind", "O") in "biu"
    ]
    return features.astype(dict.fromkeys(whole, np.float64)) if whole else features


def require_finite(features: FloatArray, names: NDArray[Any] | None) -> None:
    """Refuse NaN, infinity, and numbers that float32 cannot hold.

    Args:
        features: Shape ``(N, F)``.
        names: Of the columns, where they have any. Shape ``(F,)``.

    Raises:
        DataError: Names the first such row and column.
    """
    limit = np.finfo(np.float32).max
    with np.errstate(over="ignore", invalid="ignore"):
        if np.abs(features.max(initial=0)) <= limit and np.abs(features.min(initial=0)) <= limit:
            return  # NaN is in no order
        row, column = np.argwhere(~(np.abs(features) <= limit))[0]
    value = features[row, column]
    found = "NaN" if np.isnan(value) else "infinity (inf)" if np.isinf(value) else f"{value:g}"
    named = f"{column}" if names is None else f"{column} ('{names[column]}')"
    raise DataError(
        f"Row {row}, column {named} of the features is {found}. Expected finite numbers of at "
        f"most {limit:.3g}, which float32 can hold. Fill in or leave out what is missing, for "
        f"instance by SimpleImputer; scale what is too large."
    )


def validated(estimator: Any, features: Any, labels: Any = None) -> Any:
    """Return what scikit-learn makes of a user's input, and require that it is dense and finite.

    Args:
        estimator: Told number and names of the columns, where labels are given; else asked.
        features: Shape ``(N, F)``.
        labels: Shape ``(N,)``, or None where a fitted estimator is asked for predictions.

    Returns:
        The features in float32 or float64, and the labels where there are any.

    Raises:
        DataError: The features are sparse or not finite.
        ValueError: What scikit-learn refuses.
    """
    require_dense(features)
    given = {} if labels is None else {"y": labels}
    checked = validate_data(
        estimator,
        X=features,
        **given,
        reset=labels is not None,
        dtype=[np.float64, np.float32],
        ensure_all_finite=False,
    )
    array = checked if labels is None else checked[0]
    require_finite(array, getattr(estimator, "feature_names_in_", None))
    return checked


def as_tensor(features: FloatArray) -> Tensor:
    """Return the features in float32, without a copy where they are. Shape ``(N, F)``."""
    array = np.ascontiguousarray(features, dtype=np.float32)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def device_of(name: str) -> torch.device:
    """Return the device of ``"auto"``, ``"cpu"`` or ``"cuda"``; auto is CUDA where there is one.

    Raises:
        ConfigError: CUDA is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "PyTorch finds no CUDA device. Expected one for device='cuda'. Check the driver with "
            "'nvidia-smi' and that torch is a CUDA build, or use device='cpu'."
        )
    is_cuda = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if is_cuda else "cpu")
