"""Convolutional backbones of timm, cut before the pooling of the whole map."""

import difflib
import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator
from torch import nn

from fdmo_core import ComponentConfig, ConfigError, Extractor
from fdmo_core.normalization import Normalize
from fdmo_core.pretrained.colours import check_colours
from fdmo_core.pretrained.trunk import cut
from fdmo_core.pretrained.trunk_weights import load_trunk
from fdmo_core.pretrained.weight_files import largest_file, read_weights
from fdmo_plugins.backbones.chain import chain_of

OLDEST = (1, 0, 26)  # earlier ones unpickle some of the files that they download


class TimmConfig(ComponentConfig):
    """Options of :class:`TimmExtractor`."""

    name: Literal["timm"] = "timm"
    model: str = Field(
        default="efficientnet_lite0",
        description="Name of the model in timm, with or without that of its weights.",
    )
    weights: Literal["pretrained", "none"] = Field(
        default="pretrained",
        description="Whether to start from the weights that timm has under this name, fetched "
        "where they are missing, or from random ones.",
    )
    weights_file: str = Field(
        default="", description="File with these weights, if timm's own is not to be used."
    )
    freeze_until: str | NonNegativeInt = Field(
        default="none",
        description="Last part that keeps its initial weights, such as layer3, or how many "
        "stages do, or none.",
    )
    mean: tuple[float, ...] = Field(
        default=(), description="Subtracted from red, green, blue in [0, 1]; empty: by the model."
    )
    std: tuple[PositiveFloat, ...] = Field(
        default=(), description="What red, green, blue are then divided by; empty: by the model."
    )

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        check_colours(self.mean, self.std)
        if self.weights == "none" and self.weights_file:
            raise ConfigError(
                f"weights is 'none', but weights_file is '{self.weights_file}'. Expected one of "
                f"the two. Set weights to 'pretrained' to start from the file."
            )
        return self


class TimmExtractor(Extractor):
    """Normalisation, then the stages of one of timm's convolutional backbones.

    Whether a model is one is found out by running it, part by part. Frozen stages with weights
    "none" are random and stay so.

    Args:
        config: Model, weights, colours and what is frozen. Freezing stages freezes the
            normalisation before them.

    Raises:
        ConfigError: timm is not installed, has no such model, or one that is no chain of parts;
            or the model has no part that is called as ``freeze_until`` says.
    """

    config_class: ClassVar[type[ComponentConfig]] = TimmConfig
    config: TimmConfig

    def __init__(self, config: TimmConfig) -> None:
        super().__init__(config)
        model = _created(config.model)
        self.normalize = Normalize(
            config.mean or model.pretrained_cfg["mean"], config.std or model.pretrained_cfg["std"]
        )
        self.largest_file = largest_file(model)
        self.trunk = cut(model, chain_of(model, config.model))
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
        source = self.config.weights_file
        if source:
            weights = read_weights(Path(source), max_bytes=self.largest_file)
        else:
            source = f"timm's {self.config.model}"
            weights = _pretrained(self.config.model).state_dict()
        load_trunk(self.trunk, weights, source=source, model=self.config.model)


def _timm() -> Any:
    oldest = ".".join(str(number) for number in OLDEST)
    way_out = f"Expected timm {oldest} or later. Run: pip install --upgrade 'fdmo[timm]'"
    try:
        timm = importlib.import_module("timm")  # an extra: looked for when it is needed
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise ConfigError(
            f"The extractor 'timm' needs the package timm, which is not installed. {way_out}"
        ) from error
    if tuple(int(number) for number in re.findall(r"\d+", timm.__version__)[:3]) < OLDEST:
        raise ConfigError(f"timm {timm.__version__} can run code of files of weights. {way_out}")
    return timm


def _created(name: str) -> Any:
    """Return a model with random weights; names that lead to files elsewhere are unknown here."""
    timm = _timm()
    known = timm.list_models() + timm.list_pretrained()
    if name not in known:
        similar = difflib.get_close_matches(name, known) or ["resnet50", "convnext_tiny"]
        raise ConfigError(
            f"timm {timm.__version__} has no model '{name}'. Expected one that "
            f"timm.list_models() or timm.list_pretrained() lists. Similar: {', '.join(similar)}."
        )
    return timm.create_model(name, pretrained=False)


def _pretrained(name: str) -> Any:
    timm = _timm()
    try:
        return timm.create_model(name, pretrained=True)
    except Exception as error:  # timm and the hub raise types of their own
        reason = str(error).rstrip(".")
        raise ConfigError(
            f"timm cannot get the weights of {name}: {reason}. Expected them in the cache of the "
            f"Hugging Face hub, or a network to fetch them by. Give the path of a file with them "
            f"as weights_file, or set weights to 'none'."
        ) from error
