"""Convolutional backbones of torchvision, cut before the pooling of the whole map."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator
from torch import nn
from torchvision import models

from fdmo_core import ComponentConfig, ConfigError, Extractor
from fdmo_core.normalization import Normalize
from fdmo_core.pretrained.colours import IMAGENET_MEAN, IMAGENET_STD, check_colours
from fdmo_core.pretrained.trunk import Trunk, cut
from fdmo_core.pretrained.trunk_weights import load_trunk
from fdmo_core.pretrained.weight_files import fetched, largest_file, read_weights

# By the class of a model, its children that make the map. GoogLeNet and Inception are left out:
# they normalise colours a second time, inside. So are models with attention, whose maps are
# tokens or depend on the size of the image.
TRUNKS: Mapping[type[nn.Module], Sequence[str]] = {
    models.AlexNet: ["features"],
    models.ConvNeXt: ["features"],
    models.DenseNet: ["features"],
    models.EfficientNet: ["features"],
    models.MNASNet: ["layers"],
    models.MobileNetV2: ["features"],
    models.MobileNetV3: ["features"],
    models.RegNet: ["stem", "trunk_output"],
    models.ResNet: ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"],
    models.ShuffleNetV2: ["conv1", "maxpool", "stage2", "stage3", "stage4", "conv5"],
    models.SqueezeNet: ["features"],
    models.VGG: ["features"],
}


class TorchvisionConfig(ComponentConfig):
    """Options of :class:`TorchvisionExtractor`."""

    name: Literal["torchvision"] = "torchvision"
    model: str = Field(default="resnet50", description="Name of the model in torchvision.")
    weights: str = Field(
        default="IMAGENET1K_V1",
        description="Name of the model's weights in torchvision, with the colours that they "
        "expect, or none for random ones.",
    )
    weights_file: str = Field(
        default="", description="File with these weights, if torchvision's own is not to be used."
    )
    download: bool = Field(
        default=True, description="Whether torchvision's file is fetched where it is missing."
    )
    freeze_until: str | NonNegativeInt = Field(
        default="none",
        description="Last part that keeps its initial weights, such as layer3, or how many "
        "stages do, or none.",
    )
    mean: tuple[float, ...] = Field(
        default=(), description="Subtracted from red, green, blue in [0, 1]; empty: by weights."
    )
    std: tuple[PositiveFloat, ...] = Field(
        default=(), description="What red, green, blue are then divided by; empty: by weights."
    )

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        check_colours(self.mean, self.std)
        known = supported_models()
        if self.model not in known:
            raise ConfigError(
                f"model is '{self.model}'. Expected a convolutional network of torchvision that "
                f"is a chain of layers. Networks with attention have tokens in place of a map, or "
                f"take one size of image; GoogLeNet and Inception normalise colours once more, "
                f"inside. Choose among: {', '.join(known)}."
            )
        _check_weights(self)
        return self


def _check_weights(config: TorchvisionConfig) -> None:
    published = models.get_model_weights(config.model).__members__
    if config.weights not in {*published, "none"}:
        raise ConfigError(
            f"weights is '{config.weights}'. Expected 'none' or weights that torchvision has for "
            f"{config.model}. Choose among: {', '.join(published)}, none."
        )
    if config.weights == "none" and config.weights_file:
        raise ConfigError(
            f"weights is 'none', but weights_file is '{config.weights_file}'. Expected one of "
            f"the two. Set weights to the ones whose colours the file expects."
        )


def supported_models() -> list[str]:
    """Return the names of the models that can be cut into stages, sorted."""
    return [
        name
        for name in sorted(models.list_models(module=models))
        if _class_made_by(models.get_model_builder(name)) in TRUNKS
    ]


def _class_made_by(builder: Callable[..., nn.Module]) -> Any:
    return inspect.signature(builder).return_annotation


class TorchvisionExtractor(Extractor):
    """Normalisation, then the stages of one of torchvision's convolutional backbones.

    Frozen stages with weights "none" are random and stay so.

    Args:
        config: Model, weights, colours and what is frozen. Freezing stages freezes the
            normalisation before them.

    Raises:
        ConfigError: The model has no part that is called as ``freeze_until`` says.
    """

    config_class: ClassVar[type[ComponentConfig]] = TorchvisionConfig
    config: TorchvisionConfig

    def __init__(self, config: TorchvisionConfig) -> None:
        super().__init__(config)
        mean, std = _colours(config)
        self.normalize = Normalize(config.mean or mean, config.std or std)
        self.trunk, self.largest_file = _trunk(config.model)
        self.trunk_stages = nn.ModuleList(self.trunk.stages)
        self.out_channels = self.trunk.out_channels()
        num_frozen = self.trunk.num_frozen(config.freeze_until)
        self.num_frozen_stages = num_frozen + 1 if num_frozen else 0

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The normalisation, then the stages of the backbone."""
        return [self.normalize, *self.trunk_stages]

    def load_initial_weights(self) -> None:
        """Load the chosen weights; errors as in :meth:`Extractor.load_initial_weights`."""
        if self.config.weights == "none":
            return
        path = Path(self.config.weights_file)
        if not self.config.weights_file:
            url = models.get_model_weights(self.config.model)[self.config.weights].url
            path = fetched(url, download=self.config.download)
        weights = read_weights(path, max_bytes=self.largest_file)
        load_trunk(self.trunk, weights, source=str(path), model=self.config.model)


def _colours(config: TorchvisionConfig) -> tuple[Sequence[float], Sequence[float]]:
    if config.weights == "none":
        return IMAGENET_MEAN, IMAGENET_STD
    expected = models.get_model_weights(config.model)[config.weights].transforms()
    return expected.mean, expected.std


def _trunk(name: str) -> tuple[Trunk, int]:
    """Return the trunk of a model with random weights, and how large its file may be."""
    model = models.get_model(name, weights=None)
    limit = largest_file(model)
    if isinstance(model, models.DenseNet):
        model.features.add_module("relu5", nn.ReLU())  # a function call in its forward
    return cut(model, TRUNKS[type(model)]), limit
