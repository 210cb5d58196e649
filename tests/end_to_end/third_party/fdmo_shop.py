"""A stranger's plugin: a data set of three colours, and an extractor with a frozen first stage."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from fdmo_core import (
    ComponentConfig,
    Dataset,
    DatasetConfig,
    Extractor,
    Sample,
    Splits,
    hookimpl,
)

FDMO_API = 1
COUNTS = ((24, 12, 6), (4, 4, 4), (6, 6, 6))  # of train, val, test


class ShopDataConfig(DatasetConfig):
    """Options of :class:`ShopData`."""

    name: Literal["shop-data"] = "shop-data"
    broken_image: int = Field(default=-1, ge=-1, description="Image that raises; -1 for none.")


@dataclass(frozen=True)
class ShopSplit:
    """Images of one colour a class, with noise."""

    counts: tuple[int, ...]
    first: int
    broken_image: int

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class of every image. Shape ``(N,)``, int64."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def __getitem__(self, index: int) -> Sample:
        """Return one image."""
        if index == self.broken_image:
            raise ZeroDivisionError("the shop is closed")
        rng = np.random.default_rng(self.first + index)
        image = rng.integers(0, 120, (24, 24, 3), dtype=np.uint8)
        label = int(self.labels[index])
        image[..., label] += 90
        return Sample(image, label)

    def source(self, index: int) -> str:
        """Return a name and a number."""
        return f"shop {self.first + index}"


class ShopData(Dataset):
    """Red, green and blue."""

    config_class: ClassVar[type[DatasetConfig]] = ShopDataConfig
    config: ShopDataConfig

    def load(self) -> Splits:
        """Return the splits; see :meth:`Dataset.load`."""
        train, val, test = (
            ShopSplit(counts, 1000 * index + 100_000 * self.seed, self.config.broken_image)
            for index, counts in enumerate(COUNTS)
        )
        digest = hashlib.sha256(repr((train, val, test)).encode()).hexdigest()
        return Splits(("red", "green", "blue"), train, val, test, digest=digest)


class ShopNetConfig(ComponentConfig):
    """Options of :class:`ShopNet`."""

    name: Literal["shop-net"] = "shop-net"
    channels: int = Field(default=6, gt=0, description="Channels of the conv map.")


class ShopNet(Extractor):
    """A frozen stage and a learned one.

    Source: nobody.
    """

    config_class: ClassVar[type[ComponentConfig]] = ShopNetConfig
    num_frozen_stages = 1

    def __init__(self, config: ShopNetConfig) -> None:
        super().__init__(config)
        self.out_channels = config.channels
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, config.channels, 3, stride=2), nn.ReLU())

    def load_initial_weights(self) -> None:
        """Give both streams the same first stage, as one file of weights would."""
        with torch.no_grad():
            for parameter in self.first.parameters():
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter))

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The two stages."""
        return self.first, self.second


@hookimpl
def register_datasets(register: Callable[[type[Dataset]], None]) -> None:
    """Supply the data set."""
    register(ShopData)


@hookimpl
def register_extractors(register: Callable[[type[Extractor]], None]) -> None:
    """Supply the extractor."""
    register(ShopNet)
