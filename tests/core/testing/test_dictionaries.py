from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fdmo_core import DrawnFeatures, FeatureBatch
from fdmo_core.randomness import rng_for
from fdmo_core.reservoir import HeldRows, Reservoir
from fdmo_core.testing import Check
from fdmo_core.testing import dictionaries as kit
from fdmo_core.testing.toys import STREAM_DIMS, ToyDictionary, ToyDictionaryConfig
from fdmo_plugins.dictionaries.memory import MemoryDictionary, MemoryDictionaryConfig


class CountsTwice(MemoryDictionary):
    @property
    def class_sizes(self) -> Tensor:
        return 2 * super().class_sizes


class ExceedsTheCap(MemoryDictionary):
    def build(self, parts: Iterable[FeatureBatch]) -> None:
        reservoir = Reservoir(
            num_classes=self.num_classes,
            max_per_class=self.config.max_per_class + 1,
            seed=self.seed,
        )
        for part in parts:
            reservoir.offer(*part)
        self._hold(reservoir.held())


class KeepsTheFirst(MemoryDictionary):
    def build(self, parts: Iterable[FeatureBatch]) -> None:
        features, labels, sources = (torch.cat(one) for one in zip(*parts, strict=True))
        kept = torch.cat(
            [
                torch.nonzero(labels == label).flatten()[: self.config.max_per_class]
                for label in range(self.num_classes)
            ]
        )
        self._hold(HeldRows(features[kept], labels[kept], sources[kept]))


class IgnoresTheSeed(MemoryDictionary):
    def build(self, parts: Iterable[FeatureBatch]) -> None:
        self.seed = 0
        super().build(parts)


class RepeatsRows(MemoryDictionary):
    def draw(
        self, labels: Tensor, *, samples_per_class: int, rng: torch.Generator
    ) -> DrawnFeatures:
        drawn = super().draw(labels, samples_per_class=samples_per_class, rng=rng)
        rows = drawn.rows[:, :1].expand_as(drawn.rows)
        return DrawnFeatures(drawn.store, rows, drawn.mask, drawn.groups)


class PadsWithNothing(MemoryDictionary):
    def draw(
        self, labels: Tensor, *, samples_per_class: int, rng: torch.Generator
    ) -> DrawnFeatures:
        drawn = super().draw(labels, samples_per_class=samples_per_class, rng=rng)
        rows = drawn.rows.masked_fill(~drawn.mask, -1)
        return DrawnFeatures(drawn.store, rows, drawn.mask, drawn.groups)


class MixesUpClasses(MemoryDictionary):
    def draw(
        self, labels: Tensor, *, samples_per_class: int, rng: torch.Generator
    ) -> DrawnFeatures:
        drawn = super().draw(labels, samples_per_class=samples_per_class, rng=rng)
        turned = drawn.rows[[1, 0, 2]], drawn.mask[[1, 0, 2]]
        return DrawnFeatures(drawn.store, *turned, drawn.groups)


class MixesUpSources(MemoryDictionary):
    @property
    def sources(self) -> Tensor:
        return super().sources.flip(0)


class InventsSamples(MemoryDictionary):
    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        return super().sample(labels, rng) + 1


class DrawsTheSameAlways(MemoryDictionary):
    def draw(
        self, labels: Tensor, *, samples_per_class: int, rng: torch.Generator
    ) -> DrawnFeatures:
        return super().draw(labels, samples_per_class=samples_per_class, rng=rng_for(0))


class SamplesTheSameAlways(MemoryDictionary):
    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self._store[self._offsets[labels]]


class DrawsGlobally(MemoryDictionary):
    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        return super().sample(labels, torch.default_generator)


class NumbersRowsAnew(MemoryDictionary):
    def rows(self) -> Iterator[FeatureBatch]:
        for part in super().rows():
            yield part._replace(sources=torch.arange(len(part.sources)))


class ForgetsSources(MemoryDictionary):
    def load(self, folder: Path) -> None:
        super().load(folder)
        self._sources = torch.arange(len(self._store))


class LoadsAnything(MemoryDictionary):
    def load(self, folder: Path) -> None:
        if (folder / "features.safetensors").exists():
            self.num_classes, self.stream_dims = len(kit.SIZES), STREAM_DIMS
            super().load(folder)


BROKEN: list[tuple[type[Any], Check, str]] = [
    (ToyDictionary, kit.check_is_built_from_streams_and_classes, "no integer 'max_per_class'"),
    (CountsTwice, kit.check_counts_what_it_holds, r"class_sizes is \[60, 12, 0, 4\]"),
    (ExceedsTheCap, kit.check_keeps_to_the_cap, r"leave \[6, 6, 0, 2\]. Expected \[5, 5, 0, 2\]"),
    (KeepsTheFirst, kit.check_does_not_depend_on_the_order, "depend on the order or the parts"),
    (IgnoresTheSeed, kit.check_does_not_depend_on_the_order, "Two seeds keep the same rows"),
    (RepeatsRows, kit.check_draws_distinct_rows_of_the_right_class, "Expected 4 distinct ones"),
    (PadsWithNothing, kit.check_draws_distinct_rows_of_the_right_class, "rows holds -1 to"),
    (MixesUpClasses, kit.check_draws_distinct_rows_of_the_right_class, "Expected rows of the cl"),
    (MixesUpSources, kit.check_gives_real_features, "is not the feature of its source"),
    (InventsSamples, kit.check_gives_real_features, "something else than a row of class 0"),
    (DrawsTheSameAlways, kit.check_every_row_can_be_drawn, "rows never come up"),
    (SamplesTheSameAlways, kit.check_every_row_can_be_drawn, "with 30 rows show 1 of them"),
    (DrawsGlobally, kit.check_repeats_itself, "global random generator of torch"),
    (NumbersRowsAnew, kit.check_is_built_from_the_rows_of_others, "draws other rows than one"),
    (ForgetsSources, kit.check_saves_and_loads, "names other sources"),
    (LoadsAnything, kit.check_saves_and_loads, "'num_classes': 5.* goes unnoticed"),
]


@pytest.mark.parametrize(("broken", "check", "message"), BROKEN)
def test_a_broken_dictionary_is_caught(broken: type[Any], check: Check, message: str) -> None:
    config = ToyDictionaryConfig() if broken is ToyDictionary else MemoryDictionaryConfig()

    with pytest.raises(AssertionError, match=f"{message}.* See fdmo_core"):
        check(broken, config)


def test_every_check_of_a_dictionary_is_proved_to_catch_something() -> None:
    assert {check for _, check, _ in BROKEN} == set(kit.CHECKS)
