"""The artificial features of one class: their sources, and figures of how real they are."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fdmo_core.errors import ConfigError, DataError
from fdmo_core.interfaces import ArtificialFeatures, FeatureDictionary, Rebalancer
from fdmo_core.provenance.coverage import coverage
from fdmo_core.provenance.mixtures import Mixture, effective_sources, entropy, mixtures
from fdmo_core.provenance.mmd import median_distance, squared_mmd, squared_mmd_of_halves
from fdmo_core.randomness import rng_for

NUM_DRAWS = 32  # sets of dictionary rows that a class's artificial features are made from
PER_DRAW = 8  # features of each set; together enough for two digits of each figure
MAX_REAL = 500  # rows of a class in pairwise figures; more would change no digit that is shown
NUM_HALVINGS = 200
QUANTILE = 0.95


@dataclass(frozen=True)
class Figures:
    """How real the artificial features of a class are; None where there are too few rows.

    Attributes:
        dictionary_rows: Real features of the class in the dictionary.
        held_out_rows: Real features of the class in the validation split.
        entropy: Mean entropy of the weights in nats, over features and streams.
        effective_sources: Mean of how many equally weighted sources that amounts to.
        coverage: Share of the held-out rows that artificial features cover.
        coverage_by_dictionary: The same of the dictionary's own rows.
        mmd: Squared discrepancy between the dictionary's rows and artificial features.
        mmd_of_halves: What 95 % of the halvings of the dictionary's rows stay below; an ``mmd``
            below it is that of real features.
    """

    dictionary_rows: int
    held_out_rows: int
    entropy: float | None
    effective_sources: float | None
    coverage: float | None
    coverage_by_dictionary: float | None
    mmd: float | None
    mmd_of_halves: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON knows them."""
        return dict(vars(self))


@dataclass(frozen=True)
class ClassReport:
    """What was found of a class.

    Attributes:
        label: The class.
        artificial: What the rebalancer makes of it, from several draws in turn. Shape ``(A, F)``.
        mixtures: The sources of each artificial feature; None where the generator names none.
        real: The dictionary's rows, at most 500. Shape ``(N, F)``.
        held_out: Of the validation split, at most 500. Shape ``(M, F)``.
        figures: How real they are.
    """

    label: int
    artificial: Tensor
    mixtures: list[Mixture] | None
    real: Tensor
    held_out: Tensor
    figures: Figures


def report_class(
    label: int,
    rebalancer: Rebalancer,
    dictionary: FeatureDictionary,
    held_out: Tensor,
    *,
    name: str,
    seed: int,
) -> ClassReport:
    """Return the artificial features of a class, their sources and figures.

    Args:
        label: The class.
        rebalancer: After its last step.
        dictionary: What it draws from.
        held_out: Features of the class that phase 1 did not learn from, in the dictionary's space.
            Shape ``(M, F)``; M may be 0.
        name: Of the class, for messages.
        seed: Decides what is drawn.

    Raises:
        ConfigError: The rebalancer makes no artificial features.
        DataError: The dictionary holds no feature of the class.
    """
    size = int(dictionary.class_sizes[label])
    if not size:
        raise DataError(
            f"The dictionary holds no feature of class '{name}'. Expected at least one to make "
            f"others from. Give the class training images, or choose another class."
        )
    made = make_artificial(label, rebalancer, seed=seed)
    features, labels = dictionary.store
    rng = rng_for(seed, "provenance", "rows", label)
    real = _some(features[labels == label].cpu(), rng)
    held_out = _some(held_out.cpu(), rng)
    artificial = made.features.cpu()
    sources = mixtures(made, dictionary.stream_dims)
    figures = _figures(real, held_out, artificial, sources, size=size, rng=rng)
    return ClassReport(label, artificial, sources, real, held_out, figures)


def make_artificial(label: int, rebalancer: Rebalancer, *, seed: int) -> ArtificialFeatures:
    """Return artificial features of a class, one of each draw, then the next one of each.

    Raises:
        ConfigError: The rebalancer makes none.
    """
    labels = torch.full((PER_DRAW,), label)
    made = []
    for draw in range(NUM_DRAWS):
        one = rebalancer.make_artificial(labels, rng_for(seed, "provenance", label, draw))
        if one is None:
            raise ConfigError(
                f"Rebalancer '{rebalancer.config.name}' trained on no artificial features. "
                f"Expected one that does, such as 'adversarial' with rebalancer.artificial = true. "
                f"Train phase 2 with it from the same phase 1: fdmo train --phase1-from RUN."
            )
        made.append(one)
    return ArtificialFeatures(
        features=_in_turn([one.features for one in made]),
        weights=_in_turn([one.weights for one in made if one.weights is not None]),
        rows=_in_turn([one.rows for one in made if one.rows is not None]),
    )


def _in_turn(draws: list[Tensor]) -> Any:
    """Return the first of each draw, then the second of each; None where there are none."""
    return torch.stack(draws, dim=1).flatten(0, 1) if draws else None


def _some(features: Tensor, rng: torch.Generator) -> Tensor:
    """Return at most MAX_REAL rows, chosen at random and kept in order."""
    if len(features) <= MAX_REAL:
        return features
    return features[torch.randperm(len(features), generator=rng)[:MAX_REAL].sort().values]


def _figures(
    real: Tensor,
    held_out: Tensor,
    artificial: Tensor,
    sources: list[Mixture] | None,
    *,
    size: int,
    rng: torch.Generator,
) -> Figures:
    width = median_distance(real) if len(real) > 1 else 0.0
    halves = None
    if len(real) > 3 and width > 0:
        drawn = squared_mmd_of_halves(real, width, num_halvings=NUM_HALVINGS, rng=rng)
        halves = float(drawn.quantile(QUANTILE))
    several = len(held_out) > 1
    return Figures(
        dictionary_rows=size,
        held_out_rows=len(held_out),
        entropy=_mean(entropy, sources),
        effective_sources=_mean(effective_sources, sources),
        coverage=coverage(held_out, artificial) if several else None,
        coverage_by_dictionary=coverage(held_out, real) if several else None,
        mmd=squared_mmd(real, artificial, width) if width > 0 else None,
        mmd_of_halves=halves,
    )


def _mean(figure: Any, sources: list[Mixture] | None) -> float | None:
    if sources is None:
        return None
    return float(torch.stack([figure(one.weights).mean() for one in sources]).mean())
