from pathlib import Path

import numpy as np
import pytest

from fdmo_core import DataError
from fdmo_plugins.datasets.features import inspection
from fdmo_plugins.datasets.features.inspection import as_float32, digest_features


def test_the_digest_does_not_depend_on_type_order_or_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float16)
    whole = digest_features(values, (), Path("f"))
    monkeypatch.setattr(inspection, "PART_BYTES", 100)

    assert digest_features(values, (), Path("f")) == whole
    assert digest_features(np.asfortranarray(values.astype(">f8")), (), Path("f")) == whole
    assert digest_features(values.reshape(3, 50), (), Path("f")) != whole


def test_a_fault_far_down_is_named_by_the_name_of_its_column(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inspection, "PART_BYTES", 100)
    values = np.zeros((50, 2))
    values[41, 1] = np.nan

    with pytest.raises(DataError, match=r"^Row 41, column width of 'f\.npz' is nan\. Expected fin"):
        digest_features(values, ("height", "width"), Path("f.npz"))


def test_what_is_too_large_becomes_infinite_without_a_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    assert as_float32(np.array([1e300, 1.0])).tolist() == [np.inf, 1.0]
    assert not recwarn.list
