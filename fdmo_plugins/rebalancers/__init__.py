"""Ways to make the main classifier fair to rare classes in phase 2."""

from collections.abc import Callable

from fdmo_core import Rebalancer, hookimpl
from fdmo_plugins.rebalancers.adversarial import AdversarialRebalancer
from fdmo_plugins.rebalancers.crossfit import CrossfitRebalancer
from fdmo_plugins.rebalancers.crt import ClassifierRetraining
from fdmo_plugins.rebalancers.logit_adjustment import LogitAdjustment
from fdmo_plugins.rebalancers.lws import LearnedScales
from fdmo_plugins.rebalancers.ncm import NearestClassMean
from fdmo_plugins.rebalancers.none import NoRebalancing
from fdmo_plugins.rebalancers.tau_norm import TauNorm


@hookimpl
def register_rebalancers(register: Callable[[type[Rebalancer]], None]) -> None:
    """Supply the paper's rebalancer, its rivals, and fdmo's own."""
    register(AdversarialRebalancer)
    register(CrossfitRebalancer)
    register(ClassifierRetraining)
    register(LearnedScales)
    register(TauNorm)
    register(LogitAdjustment)
    register(NearestClassMean)
    register(NoRebalancing)
