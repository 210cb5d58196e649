from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor

from fdmo_core import DrawnFeatures, FeatureBatch
from fdmo_core.testing import Check
from fdmo_core.testing import dictionary_classes as kit
from fdmo_plugins.dictionaries.memory import MemoryDictionary, MemoryDictionaryConfig


class SeedsByTheClass(MemoryDictionary):
    def build(self, parts: Iterable[FeatureBatch]) -> None:
        rows = FeatureBatch(*(torch.cat(one) for one in zip(*parts, strict=True)))
        self.seed += int(rows.labels[0])
        super().build([rows])


class NeedsTwoLabels(MemoryDictionary):
    def draw(
        self, labels: Tensor, *, samples_per_class: int, rng: torch.Generator
    ) -> DrawnFeatures:
        drawn = super().draw(labels, samples_per_class=samples_per_class, rng=rng)
        mask = torch.ones_like(drawn.mask) if len(labels) == 1 else drawn.mask
        return DrawnFeatures(drawn.store, drawn.rows, mask, drawn.groups)


class SamplesTheMean(MemoryDictionary):
    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self._store.mean(dim=0, keepdim=True)


BROKEN: list[tuple[type[Any], Check, str]] = [
    (SeedsByTheClass, kit.check_follows_a_permutation_of_the_classes, "other rows are kept"),
    (NeedsTwoLabels, kit.check_draws_for_one_label, "of which there are 3, has the groups"),
    (SamplesTheMean, kit.check_draws_for_one_label, "something else than a row of class 0"),
]


@pytest.mark.parametrize(("broken", "check", "message"), BROKEN)
def test_a_broken_dictionary_is_caught(broken: type[Any], check: Check, message: str) -> None:
    with pytest.raises(AssertionError, match=f"{message}.* See fdmo_core"):
        check(broken, MemoryDictionaryConfig())


def test_every_check_is_proved_to_catch_something() -> None:
    assert {check for _, check, _ in BROKEN} == set(kit.CHECKS)
