from collections.abc import Callable

import torch

from fdmo_core import Phase2Parts
from fdmo_core.testing.expectations import differing, snapshot
from fdmo_plugins.rebalancers.none import NoRebalancing, NoRebalancingConfig


def test_the_classifier_is_a_copy_of_phase_1_s(make_parts: Callable[..., Phase2Parts]) -> None:
    parts = make_parts()

    rebalancer = NoRebalancing(NoRebalancingConfig(), parts=parts)

    assert rebalancer.num_steps == 0
    assert rebalancer.classifier is not parts.classifier
    assert differing(snapshot(rebalancer.classifier), snapshot(parts.classifier)) == []
    assert torch.equal(rebalancer.classifier(torch.ones(2, 7)), parts.classifier(torch.ones(2, 7)))
