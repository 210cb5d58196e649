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
    "crt": [{"batch_size": 16}, {"restart": False, "sampling": "natural"}, {"epochs": 0}],
    "lws": [{"batch_size": 16}],
    "tau-norm": [{}, {"tau": 1.0}, {"fit_on": "out-of-fold", "criterion": "balanced-nll"}],
    "logit-adjustment": [{}, {"tau": 1.0}, {"fit_on": "out-of-fold", "criterion": "balanced-nll"}],
    "ncm": [{}, {"metric": "cosine"}],
}


@pytest.mark.parametrize(
    "case", cases_for(Registry(load_plugins()), "rebalancer", variants=VARIANTS), ids=str
)
def test_keeps_to_the_contract_of_a_rebalancer(case: Case) -> None:
    case.run()
