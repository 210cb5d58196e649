"""All figures of a diagnosis, from a feature space; the test split plays no part."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fdmo_core.averages import average_class_accuracy, geometric_mean
from fdmo_core.config import Run
from fdmo_core.confusion import Tally
from fdmo_core.diagnosis.confusions import Confusion, top_confusions
from fdmo_core.diagnosis.prior import Prior, describe_prior
from fdmo_core.diagnosis.recommendation import Recommendation, recommend
from fdmo_core.diagnosis.remedies import Remedy, try_remedies
from fdmo_core.diagnosis.separability import Separability, measure_separability
from fdmo_core.errors import DataError
from fdmo_core.feature_space import FeatureSpace
from fdmo_core.interfaces import HeldOut, LabelledFeatures
from fdmo_core.journal import Journal

NUM_CONFUSIONS = 10


@dataclass(frozen=True)
class Diagnosis:
    """What a feature space says of its imbalance.

    Attributes:
        class_names: In label order.
        class_counts: Training images per class. Shape ``(C,)``, int64.
        validation_counts: Validation images per class. Shape ``(C,)``, int64.
        prior: How uneven the classes are.
        separability: How well they are told apart on training and on validation features.
        acsa: Of phase 1's classifier on validation.
        geometric_mean: The same.
        confusions: Of phase 1's classifier on validation, the worst first.
        remedies: Prior correction first; empty where the classes are of equal size.
        recommendation: In words.
    """

    class_names: tuple[str, ...]
    class_counts: Tensor
    validation_counts: Tensor
    prior: Prior
    separability: Separability
    acsa: float
    geometric_mean: float
    confusions: tuple[Confusion, ...]
    remedies: tuple[Remedy, ...]
    recommendation: Recommendation

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON knows them; what cannot be told of a class is null."""
        names = self.class_names
        pairs = {
            "recall": self.separability.recall,
            "margin": self.separability.margin,
            "nearest_mean_recall": self.separability.nearest_mean,
        }
        classes = {}
        for label, name in enumerate(names):
            figures: dict[str, Any] = {
                "train": int(self.class_counts[label]),
                "val": int(self.validation_counts[label]),
                "share": float(self.prior.shares[label]),
                "effective_size": float(self.prior.effective_sizes[label]),
            }
            for key, (training, held_out) in pairs.items():
                figures[key] = {
                    "train": known(training[label]),
                    "val": known(held_out[label]),
                    "ratio": ratio(training[label], held_out[label]),
                }
            classes[name] = figures
        return {
            "imbalance_ratio": self.prior.imbalance_ratio,
            "effective_classes": self.prior.effective_classes,
            "phase1": {"acsa": self.acsa, "geometric_mean": self.geometric_mean},
            "classes": classes,
            "confusions": [
                {
                    "class": names[one.label],
                    "taken_for": names[one.taken_for],
                    "count": one.num_images,
                    "share": one.share,
                }
                for one in self.confusions
            ],
            "remedies": [asdict(one) for one in self.remedies],
            "recommendation": asdict(self.recommendation),
        }


def known(value: Tensor) -> float | None:
    """Return a figure, or None where it is NaN."""
    return None if value.isnan() else float(value)


def ratio(training: Tensor, held_out: Tensor) -> float | None:
    """Return the training figure by the held-out one; None unless both are there and above 0."""
    return float(training / held_out) if training > 0 and held_out > 0 else None


def diagnose(
    space: FeatureSpace,
    runs: Mapping[str, Run],
    *,
    seed: int,
    device: torch.device,
    journal: Journal,
) -> Diagnosis:
    """Return the diagnosis of a feature space.

    Args:
        space: What phase 1 left behind.
        runs: Of phase 2 that stand for oversampling; see
            :func:`~fdmo_core.diagnosis.remedies.fine_tuning_runs`.
        seed: Of folds and bootstrap.
        device: Where to fine-tune.
        journal: Told every step.

    Raises:
        DataError: There is no validation image.
    """
    held_out = _validation(space)
    num_classes = len(space.class_names)
    prior = describe_prior(space.class_counts)
    separability = measure_separability(
        LabelledFeatures(space.train.features, space.train.labels),
        LabelledFeatures(held_out.features, held_out.labels),
        space.classifier,
        num_classes=num_classes,
    )
    tally = Tally.empty(num_classes, top_k=1)
    tally.update(held_out.logits, held_out.labels)
    recalls = separability.recall[1].numpy()
    recalls = recalls[~np.isnan(recalls)]
    remedies = (
        try_remedies(space, held_out, runs, seed=seed, device=device, journal=journal)
        if prior.imbalance_ratio > 1
        else []
    )
    return Diagnosis(
        class_names=space.class_names,
        class_counts=space.class_counts,
        validation_counts=tally.totals,
        prior=prior,
        separability=separability,
        acsa=float(average_class_accuracy(recalls)),
        geometric_mean=float(geometric_mean(recalls)),
        confusions=tuple(top_confusions(tally.matrix, NUM_CONFUSIONS)),
        remedies=tuple(remedies),
        recommendation=recommend(space.class_names, prior, tally.totals, separability, remedies),
    )


@torch.no_grad()
def _validation(space: FeatureSpace) -> HeldOut:
    features, labels = space.splits["val"]
    if not len(labels):
        raise DataError(
            "The validation split is empty. Expected images that phase 1 did not learn from, to "
            "judge by. Give the data a validation split."
        )
    return HeldOut(features, space.classifier(features), labels)
