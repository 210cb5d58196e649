"""Nearest class mean: the classifier is the classes' mean features, without training."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fdmo_core import ComponentConfig, LabelledFeatures, Phase2Parts, Rebalancer
from fdmo_core.classifier import linear_classifier

FAR = 10.0  # how far below zero a class without rows scores, in lengths of the longest feature


class NearestClassMeanConfig(ComponentConfig):
    """Options of :class:`NearestClassMean`."""

    name: Literal["ncm"] = "ncm"
    metric: Literal["euclidean", "cosine"] = Field(
        default="euclidean", description="By what a mean is near to a feature."
    )


class NearestClassMean(Rebalancer):
    """Gives each feature to the class whose mean in the dictionary is nearest.

    Both metrics rank as a linear classifier does. Euclidean: ``f . m - |m|^2 / 2``, half the
    negative squared distance but for a part that all classes have. Cosine: ``f . m / |m|``, the
    cosine times the length of the feature. A class without rows in the dictionary has a bias so low
    that it is never predicted.

    Source: Kang et al. 2020.

    Departs from Kang et al.: their code first centres features and scales them to length 1, and
    then takes the distance, which no linear classifier does; features stay as they are here.

    Args:
        config: The metric.
        parts: The dictionary; phase 1's classifier plays no part.
    """

    config_class: ClassVar[type[ComponentConfig]] = NearestClassMeanConfig
    num_steps = 0

    def __init__(self, config: NearestClassMeanConfig, *, parts: Phase2Parts) -> None:
        super().__init__(config, parts=parts)
        real = parts.dictionary.store
        means, present = class_means(real, len(parts.class_counts))
        if config.metric == "euclidean":
            weight, bias = means, -means.square().sum(dim=1) / 2
        else:
            weight, bias = F.normalize(means), torch.zeros_like(means[:, 0])
        longest = real.features.norm(dim=1).max()
        bias = bias.where(present, -FAR * (longest + longest.square()))
        self.main_classifier = linear_classifier(weight, bias)

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
