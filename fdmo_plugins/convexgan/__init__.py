"""Generators that learn in a game: the paper's, and others of its kind."""

from collections.abc import Callable

from fdmo_core import FeatureGenerator, hookimpl
from fdmo_plugins.convexgan.attention import AttentionGan
from fdmo_plugins.convexgan.gamo import Gamo
from fdmo_plugins.convexgan.generator import ConvexGan


@hookimpl
def register_generators(register: Callable[[type[FeatureGenerator]], None]) -> None:
    """Supply the generators, which bring their discriminators along."""
    register(ConvexGan)
    register(AttentionGan)
    register(Gamo)
