import pickle
from pathlib import Path

import numpy as np
import pytest

from fdmo_core import DataError
from fdmo_plugins.datasets.features.stored import MappedArray, find_key, require_key


def test_a_mapped_array_reads_rows_from_where_it_begins(tmp_path: Path) -> None:
    values = np.arange(12, dtype="<f4").reshape(6, 2)
    (tmp_path / "raw").write_bytes(b"12345" + values.tobytes())
    mapped = MappedArray(tmp_path / "raw", 5, np.dtype("<f4"), (6, 2))

    np.testing.assert_array_equal(mapped[4], values[4])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(mapped))[1:3], values[1:3])
    assert len(pickle.dumps(mapped)) < 1000


def test_a_file_that_became_shorter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(bytes(47))

    with pytest.raises(DataError, match=r"cannot be mapped: .* Expected \(6, 2\) values of"):
        MappedArray(tmp_path / "raw", 0, np.dtype("<f4"), (6, 2))[0]


def test_the_first_of_the_wanted_names_counts() -> None:
    assert find_key(("a", "b"), ("c", "b", "a")) == "a"
    assert find_key((), ("a",)) is None
    with pytest.raises(DataError, match=r"^'f' has no 'a'\. It has: nothing\. Expected labels"):
        require_key(("a",), (), what="labels", file=Path("f"))
