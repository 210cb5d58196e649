"""What every registered generator must do, whichever plugin supplies it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry
from fdmo_core.testing import Case, cases_for
from fdmo_core.testing.export import check_is_the_same_in_onnxruntime

SMALL = {"noise_dim": 4, "hidden": (8, 8), "discriminator_hidden": (8, 8)}
VARIANTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "convexgan": [
        {**SMALL},
        {**SMALL, "weights": "per-feature", "chunk_size": 3},
        {**SMALL, "tie_streams": True, "discriminator_output": "linear"},
        {**SMALL, "deceive_majority": False, "discriminator_every": 1},
        {**SMALL, "artificial_streams": "texture"},
        {**SMALL, "artificial_streams": "shape"},
        {**SMALL, "anchors": "fixed"},
        {**SMALL, "anchors": "fixed", "weights": "per-feature"},
    ],
    "dirichlet": [{}, {"concentration": 0.01, "tie_streams": True}],
    "smote": [{}, {"neighbors": 1}],
    "attention": [
        {**SMALL, "sketch_dim": 4, "key_dim": 4},
        {**SMALL, "sketch_dim": 4, "key_dim": 4, "tie_streams": True},
        {**SMALL, "sketch_dim": 4, "key_dim": 4, "artificial_streams": "shape"},
    ],
    "gamo": [{**SMALL}],
    "m2m": [{}, {"min_probability": 0.0}],
}


SAME_GRAPH = {"deceive_majority"}  # it changes how the generator learns
CASES = [
    case
    for case in cases_for(Registry(load_plugins()), "generator", variants=VARIANTS)
    if case.check is not check_is_the_same_in_onnxruntime or not SAME_GRAPH & case.options.keys()
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_keeps_to_the_contract_of_a_generator(case: Case) -> None:
    case.run()
