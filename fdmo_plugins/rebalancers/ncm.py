"""Nearest class mean: the classifier is the classes' mean features, without training."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fdmo_core import ComponentConfig, LabelledFeatures, Phase2Parts, Rebalancer
from fdmo_core.classifier import CosineClassifier, linear_classifier

COSINE_SCALE = 30.0  # ranks alike whatever it is; as ldam's, so that probabilities are comparable
FAR = 10.0  # in squared lengths of the longest feature; out of reach of any nine times as long


class NearestClassMeanConfig(ComponentConfig):
    """Options of :class:`NearestClassMean`."""

    name: Literal["ncm"] = "ncm"
    metric: Literal["euclidean", "cosine"] = Field(
        default="euclidean", description="By what a mean is near to a feature."
    )


class NearestClassMean(Rebalancer):
    """Gives each feature to the class whose mean in the dictionary is nearest.

    Euclidean: ``f . m - |m|^2 / 2``, which ranks as the negative distance does and is linear.
    Cosine: the direction of each mean. A class without rows in the dictionary is far from all.

    Source: Kang et al. 2020.

    Departs from Kang et al.: their code first centres features and scales them to length 1, which
    no linear classifier does; features stay as they are here.

    Args:
        config: The metric.
        parts: The dictionary; phase 1's classifier plays no part.
    """

    config_class: ClassVar[type[ComponentConfig]] = NearestClassMeanConfig
    num_steps = 0
    steps_per_epoch = 1

    def __init__(self, config: NearestClassMeanConfig, *, parts: Phase2Parts) -> None:
        super().__init__(config, parts=parts)
        classify = {"euclidean": _by_distance, "cosine": _by_angle}[config.metric]
        self.main_classifier = classify(parts.dictionary.store, len(parts.class_counts))

    @property
    def classifier(self) -> nn.Module:
        """The classifier of the means; see :attr:`Rebalancer.classifier`."""
        return self.main_classifier

    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        """Do nothing; there are no steps. See :meth:`Rebalancer.step`."""
        return {}


def class_means(real: LabelledFeatures, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return each class's mean feature, and whether it has one.

    Args:
        real: N features of the classes.
        num_classes: C.

    Returns:
        Means, zeros where there are no rows. Shape ``(C, F)``. Shape ``(C,)``, bool.
    """
    members = F.one_hot(real.labels, num_classes).to(real.features.dtype)  # (N, C)
    sizes = members.sum(dim=0)  # (C,)
    return (members.T @ real.features) / sizes.clamp(min=1).unsqueeze(1), sizes > 0


def _by_distance(real: LabelledFeatures, num_classes: int) -> nn.Module:
    means, present = class_means(real, num_classes)
    far = -FAR * real.features.square().sum(dim=1).max()
    return linear_classifier(means, torch.where(present, -means.square().sum(dim=1) / 2, far))


def _by_angle(real: LabelledFeatures, num_classes: int) -> nn.Module:
    means, present = class_means(real, num_classes)
    opposite = -real.features.mean(dim=0)
    weight = torch.where(present.unsqueeze(1), means, opposite)
    classifier = CosineClassifier(weight.shape[1], num_classes, scale=COSINE_SCALE)
    classifier.weight = nn.Parameter(weight)
    return classifier
