"""What every registered rebalancer must do, whichever plugin supplies it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry
from fdmo_core.testing import Case, cases_for

VARIANTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "adversarial": [
        {"batch_size": 16, "samples_per_class": 5},
        {"batch_size": 16, "artificial": False},
        {"epochs": 0},
    ],
}


@pytest.mark.parametrize(
    "case", cases_for(Registry(load_plugins()), "rebalancer", variants=VARIANTS), ids=str
)
def test_keeps_to_the_contract_of_a_rebalancer(case: Case) -> None:
    case.run()
