"""VGG16 up to conv5_3, with the weights that the paper starts from."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, PositiveFloat, model_validator
from torch import nn
from torchvision.models import VGG16_Weights, vgg16

from fdmo_core import ComponentConfig, ConfigError, Extractor
from fdmo_core.normalization import Normalize
from fdmo_core.pretrained.colours import check_colours
from fdmo_core.pretrained.trunk import Trunk, cut
from fdmo_core.pretrained.trunk_weights import load_trunk
from fdmo_core.pretrained.weight_files import fetched, largest_file, read_weights

CONVS_PER_BLOCK = (2, 2, 3, 3, 3)
CONVS = tuple(
    f"conv{block}_{conv}"
    for block, num_convs in enumerate(CONVS_PER_BLOCK, start=1)
    for conv in range(1, num_convs + 1)
)


class Vgg16Config(ComponentConfig):
    """Options of :class:`Vgg16`."""

    name: Literal["vgg16"] = "vgg16"
    weights: Literal["IMAGENET1K_V1", "IMAGENET1K_FEATURES", "none"] = Field(
        default="IMAGENET1K_V1",
        description="Weights of torchvision to start from, with the colours that they expect, or "
        "none for random ones.",
    )
    weights_file: str = Field(
        default="", description="File with these weights, if torchvision's own is not to be used."
    )
    download: bool = Field(
        default=True, description="Whether torchvision's file is fetched where it is missing."
    )
    freeze_until: Literal[
        "none", "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3",
        "conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3",
    ] = Field(
        default="conv4_3", description="Last convolution that keeps its initial weights."
    )  # fmt: skip
    mean: tuple[float, ...] = Field(
        default=(), description="Subtracted from red, green, blue in [0, 1]; empty: by weights."
    )
    std: tuple[PositiveFloat, ...] = Field(
        default=(), description="What red, green, blue are then divided by; empty: by weights."
    )

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        check_colours(self.mean, self.std)
        if self.weights == "none" and self.weights_file:
            raise ConfigError(
                f"weights is 'none', but weights_file is '{self.weights_file}'. Expected one of "
                f"the two. Set weights to the ones whose colours the file expects."
            )
        return self


class Vgg16(Extractor):
    """One stream of the paper: normalisation, then one stage for each of the 13 convolutions.

    A stage has a convolution and its ReLU, and the max pool that may follow. conv5_3 is the last,
    after its ReLU and without a pool: an image of 224 pixels gives a map of 512 x 14 x 14. Frozen
    up to conv4_3, the prefix ends in pool4, with a map of a quarter of the size before it.

    There is no batch norm. Frozen stages with weights "none" are random and stay so, which is of
    use to measure and to test only.

    Source: Sec. III-B and IV-B of the paper; Simonyan and Zisserman 2015, configuration D; He et
    al. 2015 for random weights (fan out).

    Args:
        config: Weights, colours and what is frozen.
    """

    config_class: ClassVar[type[ComponentConfig]] = Vgg16Config
    config: Vgg16Config

    def __init__(self, config: Vgg16Config) -> None:
        super().__init__(config)
        named = VGG16_Weights["IMAGENET1K_V1" if config.weights == "none" else config.weights]
        colours = named.transforms()
        self.normalize = Normalize(config.mean or colours.mean, config.std or colours.std)
        self.trunk, self.largest_file = conv_trunk()
        self.conv_stages = nn.ModuleList(self.trunk.stages)
        self.out_channels = self.trunk.out_channels()
        if config.freeze_until != "none":
            self.num_frozen_stages = 2 + CONVS.index(config.freeze_until)

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The normalisation, then the convolutions, each with what follows it."""
        return [self.normalize, *self.conv_stages]

    def load_initial_weights(self) -> None:
        """Load the ImageNet weights; errors as in :meth:`Extractor.load_initial_weights`."""
        if self.config.weights == "none":
            return
        path = Path(self.config.weights_file)
        if not self.config.weights_file:
            url = VGG16_Weights[self.config.weights].url
            path = fetched(url, download=self.config.download)
        weights = read_weights(path, max_bytes=self.largest_file)
        load_trunk(self.trunk, weights, source=str(path), model="vgg16")


def conv_trunk() -> tuple[Trunk, int]:
    """Return VGG16's convolutions with random weights, and how large a file of weights may be.

    torchvision's model is made without memory first: its classifier, which stays behind, has
    eight times the weights of all convolutions.
    """
    with torch.device("meta"):
        model = vgg16(weights=None, init_weights=False)
    limit = largest_file(model)
    model.features = model.features[:-1].to_empty(device="cpu")
    for weight in model.features.parameters():
        if weight.ndim == 1:
            nn.init.zeros_(weight)
        else:
            nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
    return cut(model, ["features"]), limit
