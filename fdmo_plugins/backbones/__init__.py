"""Convolutional backbones of torchvision and timm, by their names there."""

from collections.abc import Callable

from fdmo_core import Extractor, hookimpl
from fdmo_plugins.backbones.timm_extractor import TimmExtractor
from fdmo_plugins.backbones.torchvision_extractor import TorchvisionExtractor


@hookimpl
def register_extractors(register: Callable[[type[Extractor]], None]) -> None:
    """Supply one extractor for each of the two libraries."""
    register(TorchvisionExtractor)
    register(TimmExtractor)
