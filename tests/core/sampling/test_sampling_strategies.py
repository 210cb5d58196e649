from typing import Any

import numpy as np
import pytest

from fdmo_core.errors import ConfigError
from fdmo_core.sampling.sampling_strategies import require_mapping, whole_number


@pytest.mark.parametrize("strategy", ["auto", 0.5, {"a": 3}, lambda labels: {"a": len(labels)}])
def test_what_is_no_callable_or_returns_a_dict_passes(strategy: Any) -> None:
    require_mapping(strategy, np.array(["a", "b"]))


@pytest.mark.parametrize(("returned", "named"), [(["a"], "list"), (None, "NoneType")])
def test_a_callable_that_returns_no_dict_is_refused(returned: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=f"returned a {named}. Expected a dict"):
        require_mapping(lambda _: returned, np.array(["a", "b"]))


@pytest.mark.parametrize("rows", [3, 3.0, np.int64(3)])
def test_a_whole_number_may_be_of_any_type(rows: Any) -> None:
    assert whole_number(rows) == 3


def test_half_a_row_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"asks for 0.5 more rows.*Expected a whole number"):
        whole_number(0.5)
