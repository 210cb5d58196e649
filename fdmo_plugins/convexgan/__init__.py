"""The paper's generator and discriminator."""

from collections.abc import Callable

from fdmo_core import FeatureGenerator, hookimpl
from fdmo_plugins.convexgan.generator import ConvexGan


@hookimpl
def register_generators(register: Callable[[type[FeatureGenerator]], None]) -> None:
    """Supply the convex generator, which brings its discriminator along."""
    register(ConvexGan)
