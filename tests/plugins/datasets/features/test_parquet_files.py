import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from fdmo_core import ConfigError, DataError, Splits
from fdmo_plugins.datasets.features.parquet_files import ParquetFeatures
from fdmo_plugins.datasets.features.stored import Keys

Vectors = NDArray[np.float32]
Names = NDArray[np.str_]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_table(rows_a_group: int = 7, **columns: Any) -> Path:
        file = tmp_path / "features.parquet"
        pq.write_table(pa.table(columns), file, row_group_size=rows_a_group)
        return file

    return write_table


def lists(vectors: Vectors, kind: str = "list") -> pa.Array:
    if kind == "fixed":
        flat = pa.array(vectors.ravel())
        return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pa.array(vectors.tolist(), pa.list_(pa.float32()))


@pytest.mark.parametrize("kind", ["list", "fixed"])
def test_a_column_of_lists_holds_the_features(
    write: Write, vectors: Vectors, names: Names, kind: str
) -> None:
    file = write(id=[str(row) for row in range(40)], X=lists(vectors, kind), y=names)

    stored = ParquetFeatures(file, Keys()).open()

    np.testing.assert_array_equal(stored.features[:], vectors)
    assert stored.labels is not None
    assert stored.labels.tolist() == names.tolist()


def test_every_column_of_numbers_is_a_feature(
    write: Write, vectors: Vectors, names: Names, load: Callable[..., Splits]
) -> None:
    columns = {f"f{column}": vectors[:, column] for column in range(5)}
    split = np.tile(["train", "val", "test", "train"], 10)
    file = write(label=pa.array(names).dictionary_encode(), split=split, **columns)

    stored = ParquetFeatures(file, Keys()).open()
    splits = load(file)

    assert stored.columns == ("f0", "f1", "f2", "f3", "f4")
    np.testing.assert_array_equal(stored.features[:], vectors)
    assert splits.class_names == ("ash", "elm", "oak")
    assert splits.val.source(3) == "features.parquet row 13"


def test_columns_may_be_chosen(write: Write, vectors: Vectors, names: Names) -> None:
    file = write(id=np.arange(40), a=vectors[:, 0], b=vectors[:, 1], y=names)

    stored = ParquetFeatures(file, Keys(columns=("b", "a"))).open()

    np.testing.assert_array_equal(stored.features[:], vectors[:, [1, 0]])


def test_columns_that_are_no_numbers_are_named(write: Write, names: Names) -> None:
    file = write(a=np.zeros(40), path=names, y=names)

    with pytest.raises(DataError) as caught:
        ParquetFeatures(file, Keys()).open()

    assert str(caught.value) == (
        f"'{file}' has the columns a, path, y, and of these path are no numbers. Expected a "
        f"column 'features' or 'X' or 'embeddings' of lists, or columns of numbers beside label "
        f"and split. Set data.features_key, or name the columns in data.feature_columns."
    )


def test_an_empty_cell_counts_as_nan_of_its_column(
    write: Write, names: Names, load: Callable[..., Splits]
) -> None:
    cells = [None if row == 33 else 1.0 for row in range(40)]
    file = write(height=cells, width=np.zeros(40), y=names)

    with pytest.raises(DataError, match=r"^Row 33, column height of .* is nan\. Expected finite"):
        load(file)


@pytest.mark.parametrize("cell", [[1.0, 2.0], None, []])
def test_a_row_of_another_length_is_named(
    write: Write, vectors: Vectors, names: Names, cell: list[float] | None
) -> None:
    rows: list[list[float] | None] = vectors.tolist()
    rows[37] = cell
    file = write(X=pa.array(rows, pa.list_(pa.float32())), y=names)

    with pytest.raises(DataError, match=r"^Row 37 of .* has another number of features .*have 5"):
        ParquetFeatures(file, Keys()).open()


def test_a_row_without_a_label_is_named(write: Write, vectors: Vectors, names: Names) -> None:
    labels = [None if row == 12 else name for row, name in enumerate(names.tolist())]
    file = write(X=lists(vectors), y=labels)

    with pytest.raises(DataError, match=r"^Row 12 of .* has no y\. Expected a value in each row\."):
        ParquetFeatures(file, Keys()).open()


def test_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "features.parquet"
    file.write_bytes(b"no table")

    with pytest.raises(DataError, match=r"cannot be read: .* Expected a Parquet file with"):
        ParquetFeatures(file, Keys())


def test_without_pyarrow_the_message_says_what_to_install(
    write: Write, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(a=np.zeros(40), y=names)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ConfigError, match=r"pip install 'fdmo\[parquet\]', or save the features"):
        ParquetFeatures(file, Keys())
