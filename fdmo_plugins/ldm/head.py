"""The landmark detection module: heatmaps and visibility from the shape stream's conv map."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fdmo_core import ComponentConfig, ConfigError, LandmarkHead, LandmarkPrediction
from fdmo_core.interfaces import HEATMAP_SIZE
from fdmo_plugins.ldm.heatmaps import gaussian_heatmaps
from fdmo_plugins.ldm.loss import (
    Reduction,
    Weighted,
    counted_landmarks,
    landmark_loss,
    visibility_loss,
)

TRUNK_SIZE = HEATMAP_SIZE // 2  # one transposed conv doubles it; also the side of VGG16's conv5_3


class LdmConfig(ComponentConfig):
    """Options of :class:`LandmarkDetectionModule`."""

    name: Literal["ldm"] = "ldm"
    width_ratio: float = Field(
        default=0.5,
        gt=0,
        le=4,
        description="Trunk channels as a share of the extractor's; 0.5 gives 256 for VGG16.",
    )
    sigma: float = Field(
        default=1.0, gt=0, description="Standard deviation of a landmark's Gaussian, in cells."
    )
    weighted: Weighted = Field(
        default="visible", description="Which landmarks count as visible in both terms."
    )
    reduction: Reduction = Field(
        default="mean",
        description="Squared errors as a mean over cells, or summed as Eq. (1) is printed.",
    )
    landmark_weight: float = Field(default=1.0, ge=0, description="Factor on the heatmap term.")
    visibility_weight: float = Field(
        default=1.0, ge=0, description="Factor on the visibility term."
    )


def bilinear_matrix(source: int, target: int, device: torch.device) -> Tensor:
    """Return the matrix that resamples ``source`` cells to ``target`` by linear interpolation.

    Cells are squares around their centres, as in ``align_corners=False``. A matrix product has a
    deterministic gradient on every device, which the library's own interpolation has not.

    Args:
        source: Number of cells before.
        target: Number of cells after.
        device: Where to build the matrix.

    Returns:
        Weights; each row sums to 1. Shape ``(target, source)``, float32.
    """
    cells = torch.arange(source, device=device)
    centres = (torch.arange(target, device=device) + 0.5) * source / target - 0.5
    distances = centres.clamp(0, source - 1).unsqueeze(1) - cells
    return (1 - distances.abs()).clamp(min=0)


def resample(maps: Tensor, size: int) -> Tensor:
    """Return the maps at a height and width of ``size``, unchanged where they have it.

    Args:
        maps: Shape ``(B, M, H', W')``.
        size: Height and width of the result.
    """
    height, width = maps.shape[2:]
    if (height, width) == (size, size):
        return maps
    rows = bilinear_matrix(height, size, maps.device).to(maps.dtype)
    columns = bilinear_matrix(width, size, maps.device).to(maps.dtype)
    return rows @ maps @ columns.T


def conv_block(in_channels: int, out_channels: int, *, kernel: int) -> nn.Sequential:
    """Return a convolution that keeps height and width, with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class LandmarkDetectionModule(LandmarkHead):
    """A trunk of three convs, then one branch for positions and one for visibility.

    Maps of another height and width than 14 are resampled first, because the heatmaps must have 28.

    Source: Sec. III-B, after the landmark branch of Zhang et al. 2020 (TS-FashionNet). Neither
    prints the layers; the trunk has the widths of a public port of the latter.

    Departs from that port: the location branch pads its transposed conv to give 28 x 28 at once
    and ends in a linear 1 x 1 conv; visibility has K logits.

    Args:
        config: Widths, the Gaussian, and what the loss counts.
        in_channels: M, channels of the conv map.
        num_landmarks: K.
        image_size: Side of the square network input in pixels, the unit of landmark positions.

    Raises:
        ConfigError: The trunk would have fewer than 2 channels.
    """

    config_class: ClassVar[type[ComponentConfig]] = LdmConfig
    config: LdmConfig

    def __init__(
        self, config: LdmConfig, *, in_channels: int, num_landmarks: int, image_size: int
    ) -> None:
        super().__init__(
            config, in_channels=in_channels, num_landmarks=num_landmarks, image_size=image_size
        )
        width = round(in_channels * config.width_ratio)
        if width < 2:
            raise ConfigError(
                f"The landmark head's trunk would have {width} channels: width_ratio "
                f"{config.width_ratio:g} of the extractor's {in_channels}. Expected at least 2. "
                f"Set landmark_head.width_ratio to {2 / in_channels:g} or more."
            )
        self.trunk = nn.Sequential(
            conv_block(in_channels, width, kernel=1),
            conv_block(width, width // 2, kernel=3),
            conv_block(width // 2, width, kernel=1),
        )
        self.visibility = nn.Sequential(
            nn.Flatten(), nn.Linear(width * TRUNK_SIZE**2, num_landmarks)
        )
        self.location = nn.Sequential(
            nn.ConvTranspose2d(width, width, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, num_landmarks, kernel_size=1),
        )

    def forward(self, maps: Tensor) -> LandmarkPrediction:
        """Return heatmaps and visibility; shapes as in :meth:`LandmarkHead.forward`."""
        trunk = self.trunk(resample(maps, TRUNK_SIZE))  # (B, width, 14, 14)
        return LandmarkPrediction(self.location(trunk), self.visibility(trunk))

    def losses(self, prediction: LandmarkPrediction, landmarks: Tensor) -> Mapping[str, Tensor]:
        """Return the weighted terms ``landmark``, Eq. (1), and ``visibility``.

        Shapes as in :meth:`LandmarkHead.losses`.
        """
        config = self.config
        counted = counted_landmarks(landmarks, config.weighted)
        truth = gaussian_heatmaps(landmarks, image_size=self.image_size, sigma=config.sigma)
        location = landmark_loss(
            prediction.heatmaps, truth, counted=counted, reduction=config.reduction
        )
        visibility = visibility_loss(prediction.visibility_logits, counted)
        return {
            "landmark": config.landmark_weight * location,
            "visibility": config.visibility_weight * visibility,
        }
