"""Where real features are kept between the two phases."""

from collections.abc import Callable

from fdmo_core import FeatureDictionary, hookimpl
from fdmo_plugins.dictionaries.memory import MemoryDictionary


@hookimpl
def register_dictionaries(register: Callable[[type[FeatureDictionary]], None]) -> None:
    """Supply the dictionary in memory."""
    register(MemoryDictionary)
