"""A component of any kind, built, with a batch for it: what checks of several kinds look at."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fdmo_core.errors import ExportError
from fdmo_core.interfaces import Extractor, FeatureGenerator, LandmarkHead, Loss, Rebalancer
from fdmo_core.randomness import rng_for
from fdmo_core.testing.expectations import NotApplicable
from fdmo_core.testing.extractors import batch_of_images, extractor_of
from fdmo_core.testing.generators import LABELS, WEIGHS_NOTHING, drawn_for, generator_of
from fdmo_core.testing.landmark_heads import batch_of_maps, head_of
from fdmo_core.testing.losses import loss_of
from fdmo_core.testing.rebalancers import rebalancer_of
from fdmo_core.testing.toys import STREAM_DIMS

BATCH = 5  # a size that nothing else has, so that no axis is taken for the batch


@dataclass(frozen=True)
class Specimen:
    """A component in evaluation mode, with a batch for it.

    Attributes:
        module: What is called: the component, or the part of it that classifies or weighs.
        inputs: What it is called with; the first axis of each is the batch.
        read: What says how it is called, below ``fdmo_core``.
        free_axes: Axes of each input, besides the first, that an exporter may leave free.
    """

    module: nn.Module
    inputs: tuple[Tensor, ...]
    read: str
    free_axes: tuple[tuple[int, ...], ...] = ()

    @torch.no_grad()
    def outputs(self, rows: slice = slice(None)) -> tuple[Tensor, ...]:
        """Return what the module gives for some rows of the batch, as a tuple of tensors."""
        return as_tuple(self.module(*(one[rows] for one in self.inputs)))


def specimen_of(component: type[Any], config: Any, *, seed: int = 0) -> Specimen:
    """Return a component of any kind that is a module, built under a seed.

    Raises:
        NotApplicable: It is a generator that does not weigh.
    """
    (make,) = (one for kind, one in _MAKERS.items() if issubclass(component, kind))
    return make(component, config, seed)


def as_tuple(found: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return what a module gave, one tensor or several, as a tuple."""
    return (found,) if isinstance(found, Tensor) else tuple(found)


class Weighing(nn.Module):
    """A generator as a module that weighs.

    Args:
        generator: In evaluation mode.
    """

    def __init__(self, generator: FeatureGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, noise: Tensor, labels: Tensor, drawn: Tensor, mask: Tensor) -> Tensor:
        """Return the weights; see :meth:`FeatureGenerator.weigh`."""
        return self.generator.weigh(noise, labels, drawn, mask)


def _extractor(component: type[Any], config: Any, seed: int) -> Specimen:
    images = batch_of_images(BATCH)
    return Specimen(extractor_of(component, config, seed=seed), (images,), "Extractor.forward")


def _landmark_head(component: type[Any], config: Any, seed: int) -> Specimen:
    maps = batch_of_maps(BATCH)
    return Specimen(head_of(component, config, seed=seed), (maps,), "LandmarkHead.forward")


def _generator(component: type[Any], config: Any, seed: int) -> Specimen:
    generator = generator_of(component, config, seed=seed)
    labels = LABELS[:BATCH]
    drawn = drawn_for(labels)
    noise = torch.randn(BATCH, generator.noise_dim, generator=rng_for(0, "contract-noise"))
    sets, mask = drawn.features()[drawn.groups], drawn.mask[drawn.groups]
    inputs = (noise, torch.tensor(labels), sets, mask)
    weighing, read = Weighing(generator).eval(), "FeatureGenerator.weigh"
    found = Specimen(weighing, inputs, read, free_axes=((), (), (1,), (1,)))
    try:
        found.outputs()
    except ExportError as error:
        raise NotApplicable(WEIGHS_NOTHING) from error
    return found


def _loss(component: type[Any], config: Any, seed: int) -> Specimen:
    logits = torch.linspace(-2, 3, 3 * BATCH).view(-1, 3)
    labels = torch.arange(BATCH) % 3
    return Specimen(loss_of(component, config, seed=seed), (logits, labels), "Loss.forward")


def _classifier(component: type[Any], config: Any, seed: int) -> Specimen:
    classifier = rebalancer_of(component, config, seed=seed).classifier.eval()
    shape = (BATCH, sum(STREAM_DIMS))
    features = torch.randn(shape, generator=rng_for(0, "contract-features"))
    return Specimen(classifier, (features,), "Rebalancer.classifier")


_MAKERS: dict[type[Any], Callable[[type[Any], Any, int], Specimen]] = {
    Extractor: _extractor,
    LandmarkHead: _landmark_head,
    FeatureGenerator: _generator,
    Loss: _loss,
    Rebalancer: _classifier,
}
