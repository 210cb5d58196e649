"""What every dictionary must do about its classes: their numbers, and one label alone."""

from typing import Any

import torch

from fdmo_core.randomness import rng_for
from fdmo_core.testing.dictionaries import SIZES, capped, dictionary_of, empty_dictionary
from fdmo_core.testing.expectations import Check, expect
from fdmo_core.testing.toys import toy_features


def check_follows_a_permutation_of_the_classes(component: type[Any], config: Any) -> None:
    """When the classes are numbered in another order, the same rows are kept under a cap."""
    order = torch.tensor([2, 0, 3, 1])  # new class i is old class order[i]
    given = toy_features(SIZES)
    renumbered = empty_dictionary(component, capped(config))
    renumbered.build([given._replace(labels=order.argsort()[given.labels])])
    found = dictionary_of(component, capped(config))
    expect(
        torch.equal(found.class_sizes[order], renumbered.class_sizes)
        and torch.equal(found.sources.sort().values, renumbered.sources.sort().values),
        "When the classes are numbered in another order, other rows are kept. Expected the seed "
        "and the sources to decide, not the number of a class.",
        read="FeatureDictionary",
    )


def check_draws_for_one_label(component: type[Any], config: Any) -> None:
    """It draws and samples for a batch of one, of a class with a single row too."""
    sizes = (3, 1, 0, 2)
    dictionary = empty_dictionary(component, config)
    dictionary.build([toy_features(sizes)])
    for label, size in ((0, 3), (1, 1)):
        labels, rng = torch.tensor([label]), rng_for(0, "contract-one")
        drawn = dictionary.draw(labels, samples_per_class=4, rng=rng)
        expect(
            drawn.groups.tolist() == [0] and drawn.mask.sum(dim=1).tolist() == [size],
            f"A draw of 4 for the one label {label}, of which there are {size}, has the groups "
            f"{drawn.groups.tolist()} and the mask {drawn.mask.tolist()}. Expected one line, with "
            f"{size} drawn rows.",
            read="DrawnFeatures",
        )
        sampled = dictionary.sample(labels, rng)
        store = dictionary.store
        expect(
            (store.features[store.labels == label] == sampled).all(dim=1).any(),
            f"sample() gives something else than a row of class {label}. Expected a real feature.",
            read="FeatureDictionary.sample",
        )


CHECKS: tuple[Check, ...] = (
    check_follows_a_permutation_of_the_classes,
    check_draws_for_one_label,
)
