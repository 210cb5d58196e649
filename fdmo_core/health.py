"""The health of a generator in phase 2: what it mixes, whether it learns, and alarms.

What is measured is what :meth:`Rebalancer.make_artificial` gives, so a stranger's rebalancer is
measured as well. Nothing that is drawn or computed here is seen by the training.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from fdmo_core.component_errors import during
from fdmo_core.interfaces import (
    ArtificialFeatures,
    FeatureDictionary,
    FeatureGenerator,
    LabelledFeatures,
    Rebalancer,
)
from fdmo_core.journal import Journal
from fdmo_core.mixing import mixing, moment_gaps, moved
from fdmo_core.randomness import rng_for, seeded
from fdmo_core.undoing import remember_buffers

EVERY = 50  # steps; a look takes about as long as a fifth of one
PROBED, PER_CLASS = 8, 8  # smallest classes at each look, and artificial features of each
REPORTED, AT_END = 256, 16  # the same at the end
TOGETHER = 256  # artificial features at a time
ONE_SOURCE = 1.1  # effective sources below which a feature is a copy
NO_MOVE = 1e-6  # of the weights; rounding is smaller

Figures = dict[str, Any]


class HealthWatch:
    """Measures a rebalancer's artificial features from its start to its end.

    Args:
        rebalancer: Before its first step, and before a checkpoint is restored.
        dictionary: What it draws from.
        class_names: In label order.
        seed: Of the run.
        journal: Told the figures, and at the end the alarms.
    """

    def __init__(
        self,
        rebalancer: Rebalancer,
        dictionary: FeatureDictionary,
        *,
        class_names: Sequence[str],
        seed: int,
        journal: Journal,
    ) -> None:
        self._rebalancer, self._dictionary = rebalancer, dictionary
        self._names, self._seed, self._journal = class_names, seed, journal
        sizes = dictionary.class_sizes
        smallest = sizes.argsort(stable=True)
        self._classes = smallest[sizes[smallest] > 0]
        several = self._classes[sizes[self._classes] > 1]
        self._probe = several[:PROBED].repeat_interleave(PER_CLASS)
        with self._undisturbed():
            self._first = self._make(self._probe, "probe") if len(self._probe) else None

    @property
    def _learns(self) -> bool:
        """Whether there is a generator that learns; one that does not cannot collapse."""
        modules = self._rebalancer.modules()
        return any(bool(one.optimizers()) for one in modules if isinstance(one, FeatureGenerator))

    def after_step(self, done: int) -> None:
        """Put the figures of now into the log, if that is due.

        Args:
            done: Steps that are behind the rebalancer.
        """
        if self._first is not None and done % EVERY == 0:
            self._journal.record({"health": {"step": done, **self._look()}})

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Leave the rebalancer as it was: modes, buffers, random generators, gradients."""
        modes = {one: one.training for one in self._rebalancer.modules()}
        undo = remember_buffers(self._rebalancer)
        self._rebalancer.eval()
        try:
            with (
                during("the health figures of phase2"),
                torch.no_grad(),
                seeded(self._seed, "health"),
            ):
                yield
        finally:
            undo()
            for module, mode in modes.items():
                module.training = mode

    def _make(self, labels: Tensor, *position: str | int) -> ArtificialFeatures | None:
        return self._rebalancer.make_artificial(labels, rng_for(self._seed, "health", *position))

    def _look(self) -> Figures:
        """Return the figures of the smallest classes; the same noise and draws each time."""
        with self._undisturbed():
            made = self._make(self._probe, "probe")
            if made is None or self._first is None:
                return {}
            return self._mixed(made) | self._opposed(made)

    def _mixed(self, made: ArtificialFeatures) -> Figures:
        assert self._first is not None
        if made.weights is None or self._first.weights is None:
            return {}
        found = mixing(made, self._dictionary.class_sizes[self._probe])
        return {
            "weight_entropy": _mean(found.entropy),
            "effective_sources": _mean(found.sources),
            "weights_moved": moved(self._first, made),
        }

    def _opposed(self, made: ArtificialFeatures) -> Figures:
        """Return how often the discriminator is right, if there is one."""
        labels = self._probe.to(made.features.device)
        real = self._dictionary.sample(self._probe, rng_for(self._seed, "health", "real"))
        says = [
            self._rebalancer.looks_real(LabelledFeatures(one, labels))
            for one in (real, made.features)
        ]
        if says[0] is None or says[1] is None:
            return {}
        return {
            "discriminator_on_real": float(says[0].double().mean()),
            "discriminator_on_artificial": 1 - float(says[1].double().mean()),
        }

    def finish(self) -> Figures | None:
        """Tell figures and alarms of the end, and return them with those of each class.

        Returns:
            As JSON knows them; None if the rebalancer makes no artificial features.
        """
        if self._first is None:
            return None
        last = self._look()
        classes = self._by_class()
        alarms = self._alarms(last, classes) if self._learns else []
        self._journal.notice(_summary(last, classes))
        for alarm in alarms:
            self._journal.notice(f"Alarm: {alarm}")
        return {"alarms": alarms, "smallest_classes": last, "classes": classes}

    def _by_class(self) -> dict[str, Figures]:
        """Return the figures of each class, the smallest ones if there are many."""
        chosen = self._classes[:REPORTED].split(TOGETHER // AT_END)
        found: dict[str, Figures] = {}
        with self._undisturbed():
            for part, labels in enumerate(chosen):
                made = self._make(labels.repeat_interleave(AT_END), "end", part)
                if made is None:
                    continue
                for place, label in enumerate(labels.tolist()):
                    own = slice(place * AT_END, (place + 1) * AT_END)
                    one = ArtificialFeatures(*(None if x is None else x[own] for x in made))  # type: ignore[arg-type]
                    found[self._names[label]] = self._of_class(label, one)
        return found

    def _of_class(self, label: int, made: ArtificialFeatures) -> Figures:
        features, labels = self._dictionary.store
        real = features[labels == label]
        gaps = moment_gaps(real, made.features)
        figures: Figures = {
            "dictionary_rows": len(real),
            "mean_gap": gaps and gaps.mean,
            "deviation_gap": gaps and gaps.deviation,
        }
        if made.weights is not None:
            found = mixing(made, torch.full((AT_END,), len(real)))
            figures["weight_entropy"] = _mean(found.entropy)
            figures["effective_sources"] = _mean(found.sources)
        return figures

    def _alarms(self, last: Figures, classes: dict[str, Figures]) -> list[str]:
        mixed = {
            name: one["effective_sources"]
            for name, one in classes.items()
            if one.get("effective_sources") is not None
        }
        copied = [f"'{name}'" for name, sources in mixed.items() if sources < ONE_SOURCE]
        alarms = []
        if copied:
            more = f" and {len(copied) - 3} more" if len(copied) > 3 else ""
            alarms.append(
                f"the generator puts all weight on one source in {len(copied)} of {len(mixed)} "
                f"classes, {', '.join(copied[:3])}{more}: its features are copies. Lower "
                f"generator.learning_rate, or choose another generator."
            )
        if mixed and last.get("weights_moved", 1.0) < NO_MOVE and self._rebalancer.num_steps > 0:
            alarms.append(
                "the generator's weights are those of the start: it learned nothing. Raise "
                "generator.learning_rate, or check the generator's update()."
            )
        return alarms


def _mean(figures: Tensor) -> float | None:
    """Return the mean of the figures that there are."""
    mean = float(figures.nanmean())
    return None if math.isnan(mean) else mean


def _summary(last: Figures, classes: dict[str, Figures]) -> str:
    parts = []
    if last.get("weight_entropy") is not None:
        parts.append(
            f"{last['effective_sources']:.1f} effective sources each ({last['weight_entropy']:.0%} "
            f"of the largest entropy), weights moved by {last['weights_moved']:.2g}"
        )
    if "discriminator_on_real" in last:
        parts.append(
            f"discriminator right on {last['discriminator_on_real']:.0%} of real and "
            f"{last['discriminator_on_artificial']:.0%} of artificial ones"
        )
    gaps = sorted(one["mean_gap"] for one in classes.values() if one["mean_gap"] is not None)
    if gaps:
        parts.append(f"median distance of class means {gaps[len(gaps) // 2]:.2g} deviations")
    return f"Artificial features: {'; '.join(parts) or 'too few real ones to compare'}."
