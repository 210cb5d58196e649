"""Small, correct components that the checks put beside the component under check."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from fdmo_core.combination import convex_combination
from fdmo_core.files import write_tensors
from fdmo_core.interfaces import (
    ArtificialFeatures,
    ComponentConfig,
    DrawnFeatures,
    FeatureBatch,
    FeatureDictionary,
    FeatureGenerator,
    HeldOut,
    HeldOutSource,
    LabelledFeatures,
    Loss,
)
from fdmo_core.randomness import rng_for

CPU = torch.device("cpu")
STREAM_DIMS = (3, 4)  # unequal, so that nobody takes one for the other


class ToyDictionaryConfig(ComponentConfig):
    """Options of :class:`ToyDictionary`: none."""

    name: Literal["toy-dictionary"] = "toy-dictionary"


class ToyDictionary(FeatureDictionary):
    """Keeps all features, and refuses to draw for a class that has none."""

    config_class: ClassVar[type[ComponentConfig]] = ToyDictionaryConfig

    def build(self, parts: Iterable[FeatureBatch]) -> None:
        """Keep all rows; see :meth:`FeatureDictionary.build`."""
        columns = (torch.cat(column) for column in zip(*parts, strict=True))
        self._features, self._labels, self._sources = columns

    @property
    def class_sizes(self) -> Tensor:
        """Rows per class; see :attr:`FeatureDictionary.class_sizes`."""
        return self._labels.bincount(minlength=self.num_classes)

    @property
    def sources(self) -> Tensor:
        """Image behind each row; see :attr:`FeatureDictionary.sources`."""
        return self._sources

    @property
    def store(self) -> LabelledFeatures:
        """All rows; see :attr:`FeatureDictionary.store`."""
        return LabelledFeatures(self._features, self._labels.to(self._features.device))

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Return a feature of each label; see :meth:`FeatureDictionary.sample`."""
        chosen = [self._drawn(label, rng)[0] for label in labels.tolist()]
        return self._features[torch.stack(chosen)]

    def draw(
        self, labels: Tensor, *, samples_per_class: int, rng: torch.Generator
    ) -> DrawnFeatures:
        """Return one set of rows a class; see :meth:`FeatureDictionary.draw`."""
        classes, groups = labels.cpu().unique(return_inverse=True)
        drawn = [self._drawn(label, rng)[:samples_per_class] for label in classes.tolist()]
        rows = torch.stack([F.pad(one, (0, samples_per_class - len(one))) for one in drawn])
        sizes = torch.tensor([len(one) for one in drawn])
        mask = torch.arange(samples_per_class) < sizes.unsqueeze(1)
        lines = (one.to(self._features.device) for one in (rows, mask, groups))
        return DrawnFeatures(self._features, *lines)

    def _drawn(self, label: int, rng: torch.Generator) -> Tensor:
        own = torch.nonzero(self._labels == label).flatten()
        if not len(own):
            raise AssertionError(
                f"Features of class {label} were asked for, of which the dictionary has none. "
                f"Expected only classes with at least one row. See "
                f"fdmo_core.FeatureDictionary.draw."
            )
        return own[torch.randperm(len(own), generator=rng)]

    def rows(self) -> Iterator[FeatureBatch]:
        """Yield all rows; see :meth:`FeatureDictionary.rows`."""
        yield FeatureBatch(self._features.cpu(), self._labels, self._sources)

    def to(self, device: torch.device) -> None:
        """Move the features; see :meth:`FeatureDictionary.to`."""
        self._features = self._features.to(device)

    def save(self, folder: Path) -> None:
        """Write one file; see :meth:`FeatureDictionary.save`."""
        columns = {"store": self._features, "labels": self._labels, "sources": self._sources}
        write_tensors(folder / "toy.safetensors", columns)

    def load(self, folder: Path) -> None:
        """Read that file; see :meth:`FeatureDictionary.load`."""
        columns = load_file(folder / "toy.safetensors")
        self.build([FeatureBatch(columns["store"], columns["labels"], columns["sources"])])


def toy_features(sizes: Sequence[int]) -> FeatureBatch:
    """Return features of as many rows a class, apart from each other, with odd sources."""
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    noise = torch.randn(len(labels), sum(STREAM_DIMS), generator=rng_for(0, "toy-features"))
    return FeatureBatch(noise + 3 * labels.unsqueeze(1), labels, 7 * torch.arange(len(labels)) + 3)


def toy_dictionary(sizes: Sequence[int]) -> ToyDictionary:
    """Return a dictionary of :func:`toy_features`."""
    dictionary = ToyDictionary(
        ToyDictionaryConfig(), num_classes=len(sizes), stream_dims=STREAM_DIMS, seed=0
    )
    dictionary.build([toy_features(sizes)])
    return dictionary


@torch.no_grad()
def toy_held_out(sizes: Sequence[int], classifier: nn.Module, source: HeldOutSource) -> HeldOut:
    """Return features like :func:`toy_features`, somewhat moved, with a classifier's scores."""
    features, labels, _ = toy_features(sizes)
    moved = features + torch.randn(features.shape, generator=rng_for(0, "toy-held-out", source))
    device = next(classifier.parameters()).device
    return HeldOut(moved.to(device), classifier(moved.to(device)), labels.to(device))


class ToyGeneratorConfig(ComponentConfig):
    """Options of :class:`ToyGenerator`: none."""

    name: Literal["toy-generator"] = "toy-generator"


class ToyGenerator(FeatureGenerator):
    """Gives the mean of the drawn features, and learns nothing."""

    config_class: ClassVar[type[ComponentConfig]] = ToyGeneratorConfig

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return the mean features; see :meth:`FeatureGenerator.forward`."""
        shares = drawn.mask / drawn.mask.sum(dim=1, keepdim=True)  # (G, S)
        weights = shares[drawn.groups].unsqueeze(1).repeat(1, len(self.stream_dims), 1)
        return ArtificialFeatures(convex_combination(weights, drawn, self.stream_dims), weights)


def toy_generator(samples_per_class: int, *, num_classes: int) -> ToyGenerator:
    """Return a generator for the features of :func:`toy_features`."""
    return ToyGenerator(
        ToyGeneratorConfig(),
        num_classes=num_classes,
        stream_dims=STREAM_DIMS,
        samples_per_class=samples_per_class,
    )


class ToyLossConfig(ComponentConfig):
    """Options of :class:`ToyLoss`: none."""

    name: Literal["toy-loss"] = "toy-loss"


class ToyLoss(Loss):
    """Cross-entropy."""

    config_class: ClassVar[type[ComponentConfig]] = ToyLossConfig

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean; shapes as in :meth:`Loss.forward`."""
        return F.cross_entropy(logits.float(), labels)
