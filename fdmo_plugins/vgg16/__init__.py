"""VGG16 with ImageNet weights, the extractor of the paper."""

from collections.abc import Callable

from fdmo_core import Extractor, hookimpl
from fdmo_plugins.vgg16.extractor import Vgg16


@hookimpl
def register_extractors(register: Callable[[type[Extractor]], None]) -> None:
    """Supply VGG16 up to conv5_3."""
    register(Vgg16)
