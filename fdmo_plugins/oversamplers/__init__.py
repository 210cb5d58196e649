"""Generators that learn nothing, and rivals of the paper's."""

from collections.abc import Callable

from fdmo_core import FeatureGenerator, hookimpl
from fdmo_plugins.oversamplers.m2m import M2m
from fdmo_plugins.oversamplers.random_copies import RandomCopies


@hookimpl
def register_generators(register: Callable[[type[FeatureGenerator]], None]) -> None:
    """Supply the generators."""
    register(RandomCopies)
    register(M2m)
