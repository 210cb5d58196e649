"""One pass over all features: are they finite, and what is their digest?"""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdmo_core import DataError
from fdmo_plugins.datasets.features.stored import Array

PART_BYTES = 2**23  # of features that are looked at together


def require_shapes(features: Array, labels: NDArray[Any], splits: NDArray[Any] | None) -> None:
    """Raise a DataError unless there are numbers ``(N, F)`` with as many labels and splits."""
    shape = features.shape
    if len(shape) != 2 or 0 in shape:
        raise DataError(
            f"The features have the shape {shape}. Expected (rows, features), at least one of "
            f"each. Reshape them before saving, a row for each sample."
        )
    if features.dtype.kind not in "fiub":
        raise DataError(
            f"The features are of the type {features.dtype}. Expected real numbers. Convert them "
            f"before saving."
        )
    for name, column in (("labels", labels), ("splits", splits)):
        if column is None:
            continue
        if column.ndim != 1:
            raise DataError(
                f"The {name} have the shape {column.shape}. Expected (rows,). Save one for each "
                f"row; of scores or one-hot rows take argmax(axis=1), of one column ravel()."
            )
        if len(column) != shape[0]:
            raise DataError(
                f"There are {len(column)} {name} and {shape[0]} rows of features. Expected as many "
                f"of both. Save them from the same rows."
            )


def digest_features(features: Array, columns: Sequence[str], file: Path) -> bytes:
    """Return a digest of the features as float32, whatever type and file they are stored in.

    Args:
        features: Shape ``(N, F)``; read a part at a time.
        columns: Names of the features, for the message; empty where they have none.
        file: Named in the message.

    Raises:
        DataError: A value is NaN or infinite, or becomes so as float32.
    """
    total = blake2b(f"{features.shape}".encode(), digest_size=32)
    step = max(1, PART_BYTES // (4 * features.shape[1]))
    for first in range(0, features.shape[0], step):
        stored = features[first : first + step]
        part = as_float32(stored)
        if not np.isfinite(part).all():
            row, column = np.argwhere(~np.isfinite(part))[0].tolist()
            raise _not_finite(
                file, first + row, columns[column] if columns else str(column), stored[row, column]
            )
        total.update(np.ascontiguousarray(part, dtype="<f4").data)
    return total.digest()


def as_float32(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Return a copy of numbers as float32; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return np.array(stored, dtype=np.float32)


def _not_finite(file: Path, row: int, column: str, value: float) -> DataError:
    what = f"is {value:g}" if not np.isfinite(value) else f"is {value:g}, too large for float32"
    return DataError(
        f"Row {row}, column {column} of '{file}' {what}. Expected finite numbers throughout. "
        f"Correct or remove the row, or fill such values in before saving."
    )
