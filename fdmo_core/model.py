"""The network of phase 1: two streams, conv blocks, landmark head and two classifiers."""

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from fdmo_core.classifier import LinearClassifier
from fdmo_core.interfaces import Extractor, LandmarkHead
from fdmo_core.network import Network, Outputs, ShapeStreamOutputs
from fdmo_core.prefix import num_shared_stages
from fdmo_core.settings import Settings


class ModelConfig(Settings):
    """What lies between the extractors and the losses."""

    feature_ratio: int = Field(
        default=4,
        ge=1,
        description="Length of a stream's feature over its extractor's channels; 4 gives 2048 "
        "for VGG16.",
    )
    auxiliary_classifier: bool = Field(
        default=True, description="Whether the shape stream has a classifier of its own (Table 4)."
    )
    standardize: bool = Field(
        default=True,
        description="Whether data that are features are shifted and scaled to mean 0 and "
        "deviation 1 of the training split; without effect on images.",
    )


class ConvBlock(nn.Module):
    """Turns a conv map into one feature vector.

    Source: f_t and f_s of Sec. III-B: convolution, batch normalisation, activation.

    Departs from the paper: its Fig. 1 gives the layers, but cannot be read off. Here a 3 x 3
    convolution keeps the channels and a 1 x 1 convolution widens them, before a global average;
    two 3 x 3 convolutions at 2048 channels would cost several times what VGG16's conv5 costs.

    Args:
        in_channels: M.
        feature_dim: D.
    """

    def __init__(self, in_channels: int, feature_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(in_channels),
            nn.ReLU(),
            nn.Conv2d(in_channels, feature_dim, 1, bias=False),
            nn.BatchNorm2d(feature_dim),
            nn.ReLU(),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return features ``(B, D)``, non-negative, of conv maps ``(B, M, H', W')``."""
        widened: Tensor = self.layers(maps)
        return widened.mean(dim=(2, 3))


class TwoStreamClassifier(Network):
    """Texture stream and shape stream, joined in the main classifier.

    Images go through :meth:`prefix` first; everything else takes the maps that it returns.

    Source: Fig. 1 and Sec. III-B of the paper.

    Args:
        texture_extractor: F_t.
        shape_extractor: F_s.
        landmark_head: The landmark detection module, or None for data without landmarks.
        num_classes: C.
        config: Feature length and auxiliary classifier.
    """

    def __init__(
        self,
        *,
        texture_extractor: Extractor,
        shape_extractor: Extractor,
        landmark_head: LandmarkHead | None,
        num_classes: int,
        config: ModelConfig,
    ) -> None:
        super().__init__()
        texture_dim = config.feature_ratio * texture_extractor.out_channels
        shape_stream_dim = config.feature_ratio * shape_extractor.out_channels
        self.num_classes = num_classes
        self.stream_dims = (texture_dim, shape_stream_dim)
        self.texture_extractor = texture_extractor
        self.shape_extractor = shape_extractor
        self.texture_block = ConvBlock(texture_extractor.out_channels, texture_dim)
        self.shape_block = ConvBlock(shape_extractor.out_channels, shape_stream_dim)
        self.landmark_head = landmark_head
        self.auxiliary_classifier = (
            LinearClassifier(shape_stream_dim, num_classes) if config.auxiliary_classifier else None
        )
        self.main_classifier: nn.Module = LinearClassifier(sum(self.stream_dims), num_classes)
        self.num_shared_stages = 0
        for extractor in (texture_extractor, shape_extractor):
            frozen_prefix(extractor).requires_grad_(False)

    @property
    def input_dim(self) -> int:
        """Length of the features that it takes: 0, for it takes images."""
        return 0

    def share_prefix(self) -> None:
        """Find the frozen stages that both streams share; to be called when weights were loaded."""
        self.num_shared_stages = num_shared_stages(self.texture_extractor, self.shape_extractor)

    @property
    def shared_stages(self) -> Sequence[nn.Module]:
        """The leading stages that run once for both streams; none where they share none."""
        return self.texture_extractor.stages[: self.num_shared_stages]

    def train(self, mode: bool = True) -> "TwoStreamClassifier":
        """Set training or evaluation mode; frozen prefixes stay in evaluation mode."""
        super().train(mode)
        for extractor in (self.texture_extractor, self.shape_extractor):
            frozen_prefix(extractor).eval()
        return self

    def prefix(self, images: Tensor) -> Tensor:
        """Return what both streams begin with, for images ``(B, 3, H, W)`` in [0, 1].

        It never changes while the network is trained, so it can be computed once per image.

        Returns:
            The maps that all other methods take. Shape ``(B, M', H', W')``; the images themselves
            where the streams share nothing.
        """
        return _apply(self.shared_stages, images)

    def texture_maps(self, maps: Tensor) -> Tensor:
        """Return the texture extractor's conv map ``(B, M, H', W')`` of :meth:`prefix`'s maps."""
        return _apply(self.texture_extractor.stages[self.num_shared_stages :], maps)

    def shape_stream(self, maps: Tensor) -> ShapeStreamOutputs:
        """Return what the shape stream makes of :meth:`prefix`'s maps."""
        own = _apply(self.shape_extractor.stages[self.num_shared_stages :], maps)
        features = self.shape_block(own)  # (B, D)
        return ShapeStreamOutputs(
            features,
            None if self.auxiliary_classifier is None else self.auxiliary_classifier(features),
            None if self.landmark_head is None else self.landmark_head(own),
        )

    def forward(self, maps: Tensor) -> Outputs:
        """Return all outputs for :meth:`prefix`'s maps."""
        shape_stream = self.shape_stream(maps)
        texture_features = self.texture_block(self.texture_maps(maps))  # (B, D)
        features = torch.cat([texture_features, shape_stream.features], dim=1)  # (B, F)
        return Outputs(features, self.main_classifier(features), shape_stream)

    def extract(self, maps: Tensor) -> Tensor:
        """Return the joined features ``(B, F)`` of :meth:`prefix`'s maps."""
        own = _apply(self.shape_extractor.stages[self.num_shared_stages :], maps)
        features = [self.texture_block(self.texture_maps(maps)), self.shape_block(own)]
        return torch.cat(features, dim=1)


def frozen_prefix(extractor: Extractor) -> nn.ModuleList:
    """Return the leading stages that are frozen; empty for none."""
    return nn.ModuleList(extractor.stages[: extractor.num_frozen_stages])


def _apply(stages: Sequence[nn.Module], maps: Tensor) -> Tensor:
    for stage in stages:
        maps = stage(maps)
    return maps
