"""The kinds of component: their hooks, their interfaces and their sections in a run's config."""

from dataclasses import dataclass

from fdmo_core.interfaces import (
    Dataset,
    Extractor,
    FeatureDictionary,
    FeatureGenerator,
    LandmarkHead,
    Loss,
    Rebalancer,
)

Interface = (
    type[Dataset]
    | type[Extractor]
    | type[LandmarkHead]
    | type[FeatureDictionary]
    | type[FeatureGenerator]
    | type[Loss]
    | type[Rebalancer]
)


@dataclass(frozen=True)
class Kind:
    """One kind of component.

    Attributes:
        name: What messages and tables call one of them.
        hook: The hook by which plugins register them.
        interface: What they implement.
        sections: Where a run's config chooses them.
    """

    name: str
    hook: str
    interface: Interface
    sections: tuple[str, ...]


KINDS = (
    Kind("dataset", "register_datasets", Dataset, ("data",)),
    Kind("extractor", "register_extractors", Extractor, ("texture_stream", "shape_stream")),
    Kind("landmark-head", "register_landmark_heads", LandmarkHead, ("landmark_head",)),
    Kind("dictionary", "register_dictionaries", FeatureDictionary, ("dictionary",)),
    Kind("generator", "register_generators", FeatureGenerator, ("generator",)),
    Kind("loss", "register_losses", Loss, ("loss",)),
    Kind("rebalancer", "register_rebalancers", Rebalancer, ("rebalancer",)),
)

KIND_OF_SECTION = {section: kind for kind in KINDS for section in kind.sections}
KIND_OF_INTERFACE = {kind.interface: kind for kind in KINDS}
