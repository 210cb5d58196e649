"""A VGG-style stack made for images of 32 to 64 pixels on a CPU."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from torch import nn

from fdmo_core import ComponentConfig, ConfigError, Extractor
from fdmo_core.normalization import Normalize


class SmallVggConfig(ComponentConfig):
    """Options of :class:`SmallVgg`."""

    name: Literal["small-vgg"] = "small-vgg"
    channels: tuple[PositiveInt, ...] = Field(
        default=(16, 32, 64), min_length=1, description="Channels of each conv stage."
    )
    convs_per_stage: int = Field(default=2, ge=1, description="3 x 3 convolutions in a stage.")
    freeze_stages: int = Field(
        default=0, ge=0, description="How many leading conv stages keep their initial weights."
    )
    mean: tuple[float, float, float] = Field(
        default=(0.485, 0.456, 0.406), description="Subtracted from red, green, blue in [0, 1]."
    )
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = Field(
        default=(0.229, 0.224, 0.225), description="What red, green, blue are then divided by."
    )

    @model_validator(mode="after")
    def _check_frozen_stages(self) -> Self:
        if self.freeze_stages > len(self.channels):
            raise ConfigError(
                f"freeze_stages is {self.freeze_stages}, but there are {len(self.channels)} conv "
                f"stages. Expected at most as many. Lower freeze_stages or lengthen channels."
            )
        return self


def conv_stage(in_channels: int, out_channels: int, *, num_convs: int, pool: bool) -> nn.Sequential:
    """Return 3 x 3 convolutions with batch norm and ReLU, after a 2 x 2 max pool where asked.

    Source: He et al. 2015 for the initial weights (fan out).
    """
    layers: list[nn.Module] = [nn.MaxPool2d(2)] if pool else []
    for inputs in (in_channels, *[out_channels] * (num_convs - 1)):
        conv = nn.Conv2d(inputs, out_channels, kernel_size=3, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        layers += [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class SmallVgg(Extractor):
    """Normalisation, then conv stages with a max pool between two of them and none at the end.

    The map of the default three stages has a quarter of the image's height and width.

    Source: the layout follows Simonyan and Zisserman 2015, with batch norm and fewer layers.

    Args:
        config: Depth, width, normalisation and what is frozen. Freezing conv stages freezes the
            normalisation before them, so ``num_frozen_stages`` is then one more.
    """

    config_class: ClassVar[type[ComponentConfig]] = SmallVggConfig

    def __init__(self, config: SmallVggConfig) -> None:
        super().__init__(config)
        self.out_channels = config.channels[-1]
        self.num_frozen_stages = config.freeze_stages + 1 if config.freeze_stages else 0
        self.normalize = Normalize(config.mean, config.std)
        self.conv_stages = nn.ModuleList(
            conv_stage(inputs, outputs, num_convs=config.convs_per_stage, pool=index > 0)
            for index, (inputs, outputs) in enumerate(pairwise((3, *config.channels)))
        )

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The normalisation, then the conv stages."""
        return [self.normalize, *self.conv_stages]
