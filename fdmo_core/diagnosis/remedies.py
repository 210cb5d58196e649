"""What would help against the imbalance: prior correction, or training on more of the rare ones."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fdmo_core.config import Run, resolve_run
from fdmo_core.diagnosis.gains import Gain, measure_gain
from fdmo_core.diagnosis.prior_correction import choose_strength, cross_validated_predictions
from fdmo_core.feature_space import FeatureSpace
from fdmo_core.interfaces import HeldOut
from fdmo_core.journal import Journal
from fdmo_core.phase2 import rebalance
from fdmo_core.randomness import derive_seed, rng_for
from fdmo_core.registry import Registry

PRIOR_CORRECTION = "prior correction"
BALANCED = "balanced fine-tuning"
OVERSAMPLING = "oversampling"


@dataclass(frozen=True)
class Remedy:
    """What one remedy gives on the validation split.

    Attributes:
        name: What it is.
        choice: What to set in a configuration to have it.
        gain: Over phase 1's classifier.
        over_correction: Over prior correction; None for that itself.
    """

    name: str
    choice: str
    gain: Gain
    over_correction: Gain | None


def fine_tuning_runs(run: Run, registry: Registry) -> dict[str, Run]:
    """Return the runs of phase 2 that stand for oversampling, by the remedy's name.

    Both fine-tune the main classifier with equally many updates by cross-entropy, on the features
    that phase 1 left: on real ones, drawn equally from all classes, and on real and artificial
    ones in turn. Their difference is the generator's part alone.

    Args:
        run: Its generator, and its rebalancer's settings where that is the one of Algorithm 1.
        registry: Where components are found.
    """
    content = run.as_dict()
    rebalancer = content["rebalancer"]
    if rebalancer["name"] != "adversarial":
        rebalancer = {"name": "adversarial"}
    crossfit = {**content["crossfit"], "dictionary": False}
    content |= {"loss": {"name": "cross-entropy"}, "crossfit": crossfit}
    return {
        name: resolve_run(
            {**content, "rebalancer": {**rebalancer, "artificial": name == OVERSAMPLING}},
            registry,
            is_trained=True,  # of what comes before phase 2 nothing is needed
        )
        for name in (BALANCED, OVERSAMPLING)
    }


def try_remedies(
    space: FeatureSpace,
    held_out: HeldOut,
    runs: Mapping[str, Run],
    *,
    seed: int,
    device: torch.device,
    journal: Journal,
) -> list[Remedy]:
    """Return what each remedy gives on held-out rows, prior correction first.

    Args:
        space: What phase 1 left behind.
        held_out: The validation split.
        runs: As :func:`fine_tuning_runs` returns them.
        seed: Of folds and bootstrap.
        device: Where to fine-tune.
        journal: Told every step.
    """
    logits, labels, counts = held_out.logits, held_out.labels, space.class_counts
    strength = choose_strength(logits, labels, counts)
    corrected = cross_validated_predictions(
        logits, labels, counts, rng=rng_for(seed, "diagnosis", "folds")
    )
    before = logits.argmax(dim=1)

    def gain(first: Tensor, second: Tensor) -> Gain:
        rng = np.random.default_rng(derive_seed(seed, "diagnosis", "bootstrap"))
        return measure_gain(first, second, labels, rng=rng)

    correction = f"rebalancer.name = 'logit-adjustment' (its tau was {strength:g} here)"
    remedies = [Remedy(PRIOR_CORRECTION, correction, gain(before, corrected), None)]
    for name, run in runs.items():
        rebalancer = rebalance(run, space, device=device, journal=journal)
        with torch.no_grad():
            scores = rebalancer.classifier(held_out.features.to(device)).cpu()
        after = scores.argmax(dim=1)
        remedies.append(Remedy(name, _choice(run), gain(before, after), gain(corrected, after)))
    return remedies


def _choice(run: Run) -> str:
    """Return the settings that differ from the defaults."""
    content = run.as_dict()
    if not content["rebalancer"]["artificial"]:
        return "rebalancer.artificial = false and loss.name = 'cross-entropy'"
    return f"generator.name = '{content['generator']['name']}' and loss.name = 'cross-entropy'"
