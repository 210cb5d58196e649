"""Ways to fine-tune the main classifier in phase 2."""

from collections.abc import Callable

from fdmo_core import Rebalancer, hookimpl
from fdmo_plugins.rebalancers.adversarial import AdversarialRebalancer


@hookimpl
def register_rebalancers(register: Callable[[type[Rebalancer]], None]) -> None:
    """Supply the paper's rebalancer."""
    register(AdversarialRebalancer)
