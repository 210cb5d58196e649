"""Features of a Parquet file: a column of lists, or one column a feature; read whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdmo_core import DataError
from fdmo_plugins.datasets.arrow import import_pyarrow
from fdmo_plugins.datasets.features.stored import (
    Keys,
    StoredFeatures,
    find_key,
    labels_and_split,
    require_key,
)

BATCH_ROWS = 4096


class ParquetFeatures:
    """A Parquet file, read a part at a time into one array of float32.

    Args:
        file: Where it is.
        keys: Names of its columns.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: It is no such file.
    """

    def __init__(self, file: Path, keys: Keys) -> None:
        self._file, self._keys = file, keys
        self._arrow = import_pyarrow(instead="save the features as .npz")
        try:
            self._parquet = self._arrow.parquet.ParquetFile(file)
        except (self._arrow.ArrowException, OSError) as error:
            raise self._broken(error) from error
        self._schema = self._parquet.schema_arrow
        self._there = tuple(self._schema.names)

    def open(self) -> StoredFeatures:
        """Return what the file holds.

        Raises:
            DataError: A column is missing, of another type, or has an empty cell.
        """
        labels, split = labels_and_split(self._keys, self._there, self._file)
        columns = self._feature_columns({labels, split})
        try:
            features = self._features(columns)
            return StoredFeatures(
                features=features,
                labels=self._column(labels),
                splits=self._column(split),
                columns=columns if len(columns) == features.shape[1] else (),
            )
        except (self._arrow.ArrowException, OSError) as error:
            raise self._broken(error) from error

    def _feature_columns(self, taken: set[str | None]) -> tuple[str, ...]:
        """Return the one column of lists, or the columns of numbers."""
        if self._keys.columns:
            for column in self._keys.columns:
                require_key((column,), self._there, what="features", file=self._file)
            return self._keys.columns
        lists = find_key(self._keys.features, self._there)
        if lists is not None:
            return (lists,)
        rest = tuple(name for name in self._there if name not in taken)
        others = [name for name in rest if not self._is_number(name)]
        if others or not rest:
            raise DataError(
                f"'{self._file}' has the columns {', '.join(self._there)}, and of these "
                f"{', '.join(others) or 'all'} are no numbers. Expected a column "
                f"{' or '.join(repr(one) for one in self._keys.features)} of lists, or columns of "
                f"numbers beside label and split. Set data.features_key, or name the columns in "
                f"data.feature_columns."
            )
        return rest

    def _is_number(self, name: str) -> bool:
        types, kind = self._arrow.types, self._schema.field(name).type
        return bool(types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind))

    def _features(self, columns: tuple[str, ...]) -> NDArray[np.float32]:
        num_rows, first = self._parquet.metadata.num_rows, 0
        features: NDArray[np.float32] | None = None
        for part in self._parts(columns):
            if features is None:
                features = np.empty((num_rows, part.shape[1]), dtype=np.float32)
            if part.shape[1] != features.shape[1]:
                raise self._ragged(first, features.shape[1])
            features[first : first + len(part)] = part
            first += len(part)
        return np.empty((0, 0), dtype=np.float32) if features is None else features

    def _parts(self, columns: tuple[str, ...]) -> Iterator[NDArray[np.float32]]:
        types, first = self._arrow.types, 0
        for batch in self._parquet.iter_batches(BATCH_ROWS, columns=list(columns)):
            if not batch.num_rows:
                continue
            kind = batch.column(0).type
            if len(columns) == 1 and (types.is_list(kind) or types.is_fixed_size_list(kind)):
                yield self._lists(batch.column(0), first)
            else:
                yield np.stack([self._numbers(batch.column(name)) for name in columns], axis=1)
            first += batch.num_rows

    def _lists(self, column: Any, first: int) -> NDArray[np.float32]:
        lengths = self._arrow.compute.list_value_length(column).fill_null(0).to_numpy()
        if (others := np.flatnonzero(lengths != lengths[0])).size:
            raise self._ragged(first + int(others[0]), int(lengths[0]))
        return self._numbers(column.flatten()).reshape(len(column), int(lengths[0]))

    def _numbers(self, column: Any) -> NDArray[np.float32]:
        """Return a column as float32; empty cells become NaN, which the check names."""
        as_double = column.cast(self._arrow.float64()).to_numpy(zero_copy_only=False)
        with np.errstate(over="ignore"):  # what is too large becomes inf, and is named
            return np.asarray(as_double, dtype=np.float32)

    def _column(self, name: str | None) -> NDArray[Any] | None:
        if name is None:
            return None
        column = self._parquet.read([name]).column(name)
        if column.null_count:
            row = column.is_null().to_numpy(zero_copy_only=False).argmax()
            raise DataError(
                f"Row {row} of '{self._file}' has no {name}. Expected a value in each row. Fill "
                f"it in, or remove the row."
            )
        types = self._arrow.types
        if types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        values: NDArray[Any] = column.to_numpy()
        return values.astype(np.str_) if values.dtype.hasobject else values

    def _ragged(self, row: int, length: int) -> DataError:
        return DataError(
            f"Row {row} of '{self._file}' has another number of features than the rows before, "
            f"which have {length}. Expected as many in each row. Correct or remove the row."
        )

    def _broken(self, error: Exception) -> DataError:
        return DataError(
            f"'{self._file}' cannot be read: {error}. Expected a Parquet file with a column of "
            f"lists or columns of numbers. Write it again, or save the features as .npz."
        )
