"""The main and the auxiliary classifier: one layer from features to class scores."""

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fdmo_core.errors import PluginError
from fdmo_core.interfaces import Loss


class LinearClassifier(nn.Linear):
    """A linear layer with bias.

    Args:
        feature_dim: F, length of the feature.
        num_classes: C.
    """

    def __init__(self, feature_dim: int, num_classes: int) -> None:
        super().__init__(feature_dim, num_classes)


def linear_classifier(weight: Tensor, bias: Tensor) -> LinearClassifier:
    """Return a linear layer that holds copies of these weights, without drawing any.

    Args:
        weight: Shape ``(C, F)``.
        bias: Shape ``(C,)``.
    """
    with torch.device("meta"):  # where initial weights cost neither time nor random numbers
        classifier = LinearClassifier(weight.shape[1], weight.shape[0])
    classifier.weight = nn.Parameter(weight.detach().clone())
    classifier.bias = nn.Parameter(bias.detach().clone())
    return classifier


class CosineClassifier(nn.Module):
    """Scaled cosine between the feature and one direction per class, without a bias.

    Source: Cao et al. 2019 (LDAM), where margins are measured on such scores.

    Args:
        feature_dim: F, length of the feature.
        num_classes: C.
        scale: What the cosines are multiplied by.
    """

    def __init__(self, feature_dim: int, num_classes: int, *, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_classes, feature_dim))
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """Return scores in ``[-scale, scale]``, shape ``(B, C)``, of features ``(B, F)``."""
        return self.scale * F.linear(F.normalize(features), F.normalize(self.weight))


def classifier_for_loss(classifier: nn.Module, loss: Loss) -> nn.Module:
    """Return a copy of the classifier in the form that the loss works on.

    Departs from the paper: it fine-tunes by LDAM without saying that LDAM's margins need cosine
    scores. Here the pretrained weights become the directions and the bias is dropped.

    Args:
        classifier: A classifier of this module; it stays as it is.
        loss: Whether it wants cosine scores, and by which scale.
    """
    if loss.cosine_scale is None:
        return deepcopy(classifier)
    weight = classifier.get_parameter("weight")
    converted = CosineClassifier(weight.shape[1], weight.shape[0], scale=loss.cosine_scale)
    converted.weight = nn.Parameter(weight.detach().clone())
    return converted


def describe_classifier(classifier: nn.Module) -> dict[str, Any]:
    """Return what :func:`make_classifier` needs to build one like it, as plain data.

    Raises:
        PluginError: It is neither of this module's classifiers, so it could not be built again.
    """
    if isinstance(classifier, CosineClassifier):
        return {"kind": "cosine", "scale": classifier.scale}
    if isinstance(classifier, LinearClassifier):
        return {"kind": "linear"}
    raise PluginError(
        f"The rebalancer's classifier is a {type(classifier).__name__}. Expected a "
        f"LinearClassifier or CosineClassifier of fdmo_core.classifier, which a saved run can be "
        f"built from. Fold what was learned into one of them."
    )


def make_classifier(
    description: dict[str, Any], feature_dim: int, num_classes: int
) -> LinearClassifier | CosineClassifier:
    """Return a new classifier of the described kind."""
    if description["kind"] == "cosine":
        return CosineClassifier(feature_dim, num_classes, scale=description["scale"])
    return LinearClassifier(feature_dim, num_classes)
