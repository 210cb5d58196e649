"""What every registered extractor must do, whichever plugin supplies it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry
from fdmo_core.testing import Case, cases_for
from fdmo_core.testing.export import check_is_the_same_in_onnxruntime
from fdmo_core.testing.precision import check_stays_finite_in_bf16

VARIANTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "small-vgg": [
        {"channels": (4, 8, 8)},
        {"channels": (4, 8, 8), "freeze_stages": 2},
        {"channels": (4, 8), "freeze_stages": 2},
    ],
    "vgg16": [{"weights": "none"}, {"weights": "none", "freeze_until": "none"}],
    "torchvision": [
        {"model": "squeezenet1_1", "weights": "none"},
        {"model": "resnet18", "weights": "none", "freeze_until": "layer3"},
    ],
    "timm": [
        {"model": "test_efficientnet", "weights": "none"},
        {"model": "test_convnext", "weights": "none", "freeze_until": "stages.1"},
    ],
}


ONCE_A_COMPONENT = {check_is_the_same_in_onnxruntime, check_stays_finite_in_bf16}  # slow
CASES = [
    case
    for case in cases_for(Registry(load_plugins()), "extractor", variants=VARIANTS)
    if case.check not in ONCE_A_COMPONENT or case.options == VARIANTS[case.component.name][0]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_keeps_to_the_contract_of_an_extractor(case: Case) -> None:
    case.run()
