"""EfficientNet-Lite0 with ImageNet weights, for fdmo."""

from collections.abc import Callable

from fdmo_core import Extractor, hookimpl
from fdmo_efficientnet_lite.extractor import EfficientNetLite

FDMO_API = 1


@hookimpl
def register_extractors(register: Callable[[type[Extractor]], None]) -> None:
    """Supply the extractor."""
    register(EfficientNetLite)
