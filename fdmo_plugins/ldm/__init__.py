"""The paper's landmark detection module."""

from collections.abc import Callable

from fdmo_core import LandmarkHead, hookimpl
from fdmo_plugins.ldm.head import LandmarkDetectionModule


@hookimpl
def register_landmark_heads(register: Callable[[type[LandmarkHead]], None]) -> None:
    """Supply the landmark detection module."""
    register(LandmarkDetectionModule)
