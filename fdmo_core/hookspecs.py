"""The hooks that a plugin may implement, one per kind. docs/plugins/ has a page on each."""

from collections.abc import Callable

import pluggy

from fdmo_core.interfaces import (
    Dataset,
    Extractor,
    FeatureDictionary,
    FeatureGenerator,
    LandmarkHead,
    Loss,
    Rebalancer,
)

hookspec = pluggy.HookspecMarker("fdmo")
hookimpl = pluggy.HookimplMarker("fdmo")


@hookspec
def register_datasets(register: Callable[[type[Dataset]], None]) -> None:
    """Call ``register(DatasetClass)`` once for each data set that the plugin supplies."""


@hookspec
def register_extractors(register: Callable[[type[Extractor]], None]) -> None:
    """Call ``register(ExtractorClass)`` once for each extractor."""


@hookspec
def register_landmark_heads(register: Callable[[type[LandmarkHead]], None]) -> None:
    """Call ``register(LandmarkHeadClass)`` once for each landmark head."""


@hookspec
def register_dictionaries(register: Callable[[type[FeatureDictionary]], None]) -> None:
    """Call ``register(DictionaryClass)`` once for each feature dictionary."""


@hookspec
def register_generators(register: Callable[[type[FeatureGenerator]], None]) -> None:
    """Call ``register(GeneratorClass)`` once for each feature generator."""


@hookspec
def register_losses(register: Callable[[type[Loss]], None]) -> None:
    """Call ``register(LossClass)`` once for each loss."""


@hookspec
def register_rebalancers(register: Callable[[type[Rebalancer]], None]) -> None:
    """Call ``register(RebalancerClass)`` once for each rebalancer."""
