"""What every registered loss must do, whichever plugin supplies it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry
from fdmo_core.testing import Case, cases_for

VARIANTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "focal": [{}, {"gamma": 0.0}, {"gamma": 0.5}],
    "ldam": [{}, {"head": "linear"}, {"drw_start": 0.5}],
    "class-balanced": [{}, {"beta": 0.0}, {"beta": 0.9999, "gamma": 2.0}],
    "logit-adjusted": [{}, {"tau": 1.5}],
}


@pytest.mark.parametrize(
    "case", cases_for(Registry(load_plugins()), "loss", variants=VARIANTS), ids=str
)
def test_keeps_to_the_contract_of_a_loss(case: Case) -> None:
    case.run()
