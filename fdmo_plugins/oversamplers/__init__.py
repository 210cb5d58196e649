"""Generators that learn nothing, and rivals of the paper's."""

from collections.abc import Callable

from fdmo_core import FeatureGenerator, hookimpl
from fdmo_plugins.oversamplers.adasyn import Adasyn
from fdmo_plugins.oversamplers.borderline_smote import BorderlineSmote
from fdmo_plugins.oversamplers.dirichlet import Dirichlet
from fdmo_plugins.oversamplers.drawn_mean import DrawnMean
from fdmo_plugins.oversamplers.m2m import M2m
from fdmo_plugins.oversamplers.random_copies import RandomCopies
from fdmo_plugins.oversamplers.smote import Smote


@hookimpl
def register_generators(register: Callable[[type[FeatureGenerator]], None]) -> None:
    """Supply the generators."""
    register(RandomCopies)
    register(DrawnMean)
    register(Dirichlet)
    register(Smote)
    register(BorderlineSmote)
    register(Adasyn)
    register(M2m)
