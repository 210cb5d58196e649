"""A generator that was fitted on real rows, and the artificial rows that it makes, as a stream."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fdmo_core.config import Run
from fdmo_core.errors import ConfigError
from fdmo_core.interfaces import ArtificialFeatures, FeatureDictionary, LabelledFeatures
from fdmo_core.randomness import rng_for
from fdmo_core.sampling.head import fit_head, nearest_mean_head
from fdmo_core.sampling.label_order import counted_labels, drawn_labels
from fdmo_core.sampling.phase2_on_rows import describe_run, hold, rebalance_rows

HEAD_PENALTY = 1.0  # of the head that a learning generator plays against; scikit-learn's C = 1


class ArtificialBatch(NamedTuple):
    """Artificial rows and their classes: ``made.features`` is ``(B, F)``, ``labels`` ``(B,)``."""

    made: ArtificialFeatures
    labels: Tensor


class Sources(NamedTuple):
    """Where artificial rows are from.

    Attributes:
        rows: Numbers of the real rows that were mixed. Shape ``(B, S)``, int64, on the CPU.
        weights: What was taken of each. Shape ``(B, S)``, on the CPU.
    """

    rows: Tensor
    weights: Tensor


@dataclass(frozen=True)
class GeneratorSettings:
    """Which generator, and how it learns where it does; see :class:`ConvexSampler`."""

    generator: dict[str, Any]
    samples_per_class: int
    epochs: int
    batch_size: int
    seed: int

    def run(self, *, learns: bool) -> Run:
        """Return the configuration of phase 2, with steps or without.

        Raises:
            ConfigError: A name or a setting is wrong; a line for each.
        """
        rebalancer = {
            "name": "adversarial",
            "epochs": self.epochs if learns else 0,
            "batch_size": self.batch_size,
            "samples_per_class": self.samples_per_class,
        }
        return describe_run(
            seed=self.seed,
            rebalancer=rebalancer,
            generator=self.generator,
            loss={"name": "cross-entropy"},
        )


class ArtificialRows:
    """Makes artificial rows of given classes.

    A generator that learns plays the paper's game (Algorithm 1) against a head that is fitted
    first. One that learns nothing sees the nearest-mean head, which costs one pass over the rows.

    Args:
        rows: Real rows, on the CPU; every class has one.
        wanted: Artificial rows that are asked for, at least one in all. Shape ``(C,)``, int64.
        settings: The generator.
        device: Where to compute.

    Attributes:
        num_steps: Steps of training that were done.

    Raises:
        ConfigError: A setting is wrong, or a generator that learns has no class that lacks rows.
        TrainingError: Its training diverged.
    """

    def __init__(
        self,
        rows: LabelledFeatures,
        wanted: Tensor,
        settings: GeneratorSettings,
        *,
        device: torch.device,
    ) -> None:
        self._wanted, self._seed = wanted, settings.seed
        run = settings.run(learns=False)
        self._dictionary = hold(run, rows, len(wanted), device=device)
        store = self._dictionary.store
        head = nearest_mean_head(store, len(wanted))
        self._rebalancer = rebalance_rows(run, self._dictionary, head)
        if len(self._rebalancer.optimizers()) > 1:  # the second is of a generator that learns
            _require_imbalance(self._dictionary, settings.generator["name"])
            head = fit_head(store, len(wanted), penalty=HEAD_PENALTY)
            run = settings.run(learns=True)
            self._rebalancer = rebalance_rows(run, self._dictionary, head)
        self.num_steps = self._rebalancer.num_steps

    def batches(self, batch_size: int, num: int | None) -> Iterator[ArtificialBatch]:
        """Yield artificial rows, and hold none of them.

        Args:
            batch_size: B; the last batch may be smaller.
            num: How many rows in all, of classes drawn in proportion to what is wanted; None for
                what is wanted, class after class.
        """
        order = (
            counted_labels(self._wanted, batch_size)
            if num is None
            else drawn_labels(self._wanted, num, batch_size, seed=self._seed)
        )
        for index, labels in enumerate(order):
            made = self._rebalancer.make_artificial(
                labels, rng_for(self._seed, "artificial", index)
            )
            assert made is not None, "the adversarial rebalancer has a generator"
            yield ArtificialBatch(made, labels)

    def sources(self, batch: ArtificialBatch) -> Sources | None:
        """Return where the rows of a batch are from; None where the generator does not say."""
        _, weights, rows = batch.made
        if weights is None or rows is None:
            return None
        return Sources(self._dictionary.sources[rows.cpu()], weights.squeeze(1).cpu())


def _require_imbalance(dictionary: FeatureDictionary, generator: str) -> None:
    sizes = dictionary.class_sizes
    if (sizes == sizes[0]).all():
        raise ConfigError(
            f"All {len(sizes)} classes have {int(sizes[0])} rows, and the generator '{generator}' "
            f"learns on what the smaller classes lack. Expected classes of different sizes. Choose "
            f"a generator that learns nothing, such as 'smote'."
        )
