"""What the engine asks of a network: from a batch's input to joined features and class scores."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from fdmo_core.interfaces import LandmarkHead, LandmarkPrediction


class ShapeStreamOutputs(NamedTuple):
    """What the shape stream gives, which phase 1 trains by itself first.

    Attributes:
        features: Shape ``(B, D)``.
        auxiliary_logits: Shape ``(B, C)``, or None without an auxiliary classifier.
        landmarks: None without a landmark head.
    """

    features: Tensor
    auxiliary_logits: Tensor | None
    landmarks: LandmarkPrediction | None


class Outputs(NamedTuple):
    """What the whole network gives.

    Attributes:
        features: The features of all streams, joined. Shape ``(B, F)``.
        logits: The main classifier's scores. Shape ``(B, C)``.
        shape_stream: What the shape stream gave on the way; None without one.
    """

    features: Tensor
    logits: Tensor
    shape_stream: ShapeStreamOutputs | None


class Network(nn.Module, ABC):
    """What phase 1 trains, and what is deployed.

    What a data set holds goes through :meth:`prefix` first; everything else takes what that
    returns, the *maps*.

    Attributes:
        num_classes: C.
        stream_dims: Length of each stream's feature; they sum to F.
        main_classifier: Joined features ``(B, F)`` to logits ``(B, C)``; phase 2 replaces it.
        landmark_head: None for data without landmarks.
        shared_stages: The leading stages that :meth:`prefix` applies, whose output is worth
            keeping; none where it costs nothing.
    """

    num_classes: int
    stream_dims: tuple[int, ...]
    main_classifier: nn.Module
    landmark_head: LandmarkHead | None

    @property
    @abstractmethod
    def shared_stages(self) -> Sequence[nn.Module]:
        """The leading stages whose output is worth keeping."""

    @property
    @abstractmethod
    def input_dim(self) -> int:
        """Length of the features that it takes, without a shape stream; 0 where it takes images."""

    @abstractmethod
    def share_prefix(self) -> None:
        """Find what streams share; to be called when weights were loaded."""

    @abstractmethod
    def prefix(self, images: Tensor) -> Tensor:
        """Return the maps of a batch. They never change while the network is trained.

        Args:
            images: In [0, 1], shape ``(B, 3, H, W)``; or features, shape ``(B, F)``.
        """

    @abstractmethod
    def forward(self, maps: Tensor) -> Outputs:
        """Return all outputs for :meth:`prefix`'s maps."""

    @abstractmethod
    def extract(self, maps: Tensor) -> Tensor:
        """Return the joined features ``(B, F)`` of :meth:`prefix`'s maps."""
