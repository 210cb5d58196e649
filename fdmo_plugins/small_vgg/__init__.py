"""A small extractor that trains on a CPU in minutes."""

from collections.abc import Callable

from fdmo_core import Extractor, hookimpl
from fdmo_plugins.small_vgg.extractor import SmallVgg


@hookimpl
def register_extractors(register: Callable[[type[Extractor]], None]) -> None:
    """Supply the small VGG-style extractor."""
    register(SmallVgg)
