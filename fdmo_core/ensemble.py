"""Networks side by side: features joined, scores averaged, the frozen prefix computed once."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from fdmo_core.classifier import linear_classifier
from fdmo_core.network import Network, Outputs


class Ensemble(Network):
    """Networks that were trained apart, as one whose feature is all of theirs.

    The mean of linear classifiers, each on its member's features, is one linear classifier on the
    joined features. So everything that works on a network's features and its main classifier works
    on an ensemble's. Landmarks are those of the first member.

    Source: Lakshminarayanan et al. 2017 for the mean of networks; here they share the prefix.

    Args:
        members: Of one structure, with equal shared stages. What only training needs of them is
            removed.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        first = members[0]
        self.num_classes = first.num_classes
        self.stream_dims = tuple(dim for member in members for dim in member.stream_dims)
        self.landmark_head = None  # the first member's is in its outputs; nothing trains it
        self.main_classifier: nn.Module = mean_classifier(
            [member.main_classifier for member in members]
        )
        for member in members:
            member.main_classifier = nn.Identity()
        for member in members[1:]:
            member.landmark_head = None
        self._members = nn.ModuleList(members)

    @property
    def members(self) -> list[Network]:
        """The networks; the prefix of the first one serves all."""
        return [cast(Network, member) for member in self._members]

    @property
    def shared_stages(self) -> Sequence[nn.Module]:
        """Those of the first member, which all have."""
        return self.members[0].shared_stages

    @property
    def input_dim(self) -> int:
        """What each member takes."""
        return self.members[0].input_dim

    def share_prefix(self) -> None:
        """Have each member find what its streams share."""
        for member in self.members:
            member.share_prefix()

    def prefix(self, images: Tensor) -> Tensor:
        """Return the maps of the first member, which are those of all; see :class:`Network`."""
        return self.members[0].prefix(images)

    def forward(self, maps: Tensor) -> Outputs:
        """Return all outputs; the shape stream's are those of the first member."""
        found: Outputs = self.members[0](maps)
        others = [member.extract(maps) for member in self.members[1:]]
        features = torch.cat([found.features, *others], dim=1)  # (B, F)
        return Outputs(features, self.main_classifier(features), found.shape_stream)

    def extract(self, maps: Tensor) -> Tensor:
        """Return the members' features side by side ``(B, F)`` of the prefix's maps."""
        return torch.cat([member.extract(maps) for member in self.members], dim=1)


def mean_classifier(classifiers: Sequence[nn.Module]) -> nn.Module:
    """Return the linear classifier of joined features that gives the mean of all scores.

    Args:
        classifiers: Linear, each of its own features.
    """
    weights: list[Tensor] = [one.get_parameter("weight") for one in classifiers]
    biases: list[Tensor] = [one.get_parameter("bias") for one in classifiers]
    number = len(classifiers)
    return linear_classifier(torch.cat(weights, dim=1) / number, torch.stack(biases).mean(dim=0))
