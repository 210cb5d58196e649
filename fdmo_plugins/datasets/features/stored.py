"""What a file of features holds, before it is checked; arrays that stay in their file."""

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fdmo_core import DataError

FEATURES_KEYS = ("features", "X", "embeddings")
LABELS_KEYS = ("labels", "y", "label")
SPLIT_KEYS = ("split",)


@dataclass(frozen=True)
class MappedArray:
    """An array in a file, of which only the rows that are asked for are read.

    It can be pickled: another process maps the file anew.

    Attributes:
        file: Where it is.
        offset: Where in the file the first value is, in bytes.
        dtype: Of the values.
        shape: Rows, and what follows.
        is_fortran: Whether columns, not rows, lie together.
    """

    file: Path
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool = False

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """Return some rows as they are."""
        found: NDArray[Any] = self._map[rows]
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @cached_property
    def _map(self) -> NDArray[Any]:
        shape = self.shape[::-1] if self.is_fortran else self.shape
        try:
            mapped = np.asarray(np.memmap(self.file, self.dtype, "r", self.offset, shape))
            return mapped.T if self.is_fortran else mapped
        except (OSError, ValueError) as error:
            raise DataError(
                f"'{self.file}' cannot be mapped: {error}. Expected {self.shape} values of "
                f"{self.dtype} from byte {self.offset}. Write the file again."
            ) from error


Array = MappedArray | NDArray[Any]


class StoredFeatures(NamedTuple):
    """What a file says, unchecked.

    Attributes:
        features: Expected ``(N, F)``.
        labels: Expected ``(N,)``; None where the file has none.
        splits: Expected ``(N,)``; None where the file has none.
        columns: Names of the features; empty where they have none.
        class_names: In the order that labels count; None where labels are the names themselves.
        sources: UTF-8 of what each row is of, padded with zeros, ``(N, L)``; None where unknown.
        stream_dims: How a row divides into streams; empty where the file does not say.
        keeps_empty_classes: As in :class:`fdmo_core.Splits`.
    """

    features: Array
    labels: NDArray[Any] | None
    splits: NDArray[Any] | None
    columns: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None
    sources: NDArray[np.uint8] | None = None
    stream_dims: tuple[int, ...] = ()
    keeps_empty_classes: bool = False


class Keys(NamedTuple):
    """Under which names a file may hold what is looked for; the first that is there counts.

    Attributes:
        features: Of the features.
        labels: Of the labels; empty where another file has them.
        split: Of the splits; empty where none are wanted, or another file has them.
        columns: Columns of a table that are a feature each; empty for all that are left.
    """

    features: tuple[str, ...] = FEATURES_KEYS
    labels: tuple[str, ...] = LABELS_KEYS
    split: tuple[str, ...] = SPLIT_KEYS
    columns: tuple[str, ...] = ()


def find_key(wanted: tuple[str, ...], there: tuple[str, ...]) -> str | None:
    """Return the first of the wanted names that is there, or None."""
    return next((key for key in wanted if key in there), None)


def labels_and_split(
    keys: Keys, there: tuple[str, ...], file: Path
) -> tuple[str | None, str | None]:
    """Return the names of labels and splits; None for what another file has or nobody needs.

    Raises:
        DataError: Labels are looked for and not there.
    """
    labels = require_key(keys.labels, there, what="labels", file=file) if keys.labels else None
    return labels, find_key(keys.split, there)


def require_key(wanted: tuple[str, ...], there: tuple[str, ...], *, what: str, file: Path) -> str:
    """Return the first of the wanted names that is there.

    Args:
        wanted: Names.
        there: Names in the file.
        what: ``"features"`` or ``"labels"``.
        file: Named in the message.

    Raises:
        DataError: None of them is there.
    """
    key = find_key(wanted, there)
    if key is None:
        raise DataError(
            f"'{file}' has no {' or '.join(repr(one) for one in wanted)}. It has: "
            f"{', '.join(there) or 'nothing'}. Expected {what} under such a name. Rename them, or "
            f"set data.{what}_key."
        )
    return key
