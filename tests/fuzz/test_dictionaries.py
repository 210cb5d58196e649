"""Every dictionary against a model of it in plain Python, through any order of operations."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fdmo_core.interfaces import FeatureBatch, FeatureDictionary
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.randomness import rng_for
from fdmo_core.registry import Registry

CLASSES, DIMS, CAP = 3, (2, 1), 4
REGISTRY = Registry(load_plugins())
NAMES = sorted(one.name for one in REGISTRY.components(REGISTRY.find("memory").kind))


def batch(rows: list[tuple[int, int]]) -> FeatureBatch:
    """Return rows of (source, label); the features follow from both."""
    sources = torch.tensor([source for source, _ in rows], dtype=torch.int64)
    labels = torch.tensor([label for _, label in rows], dtype=torch.int64)
    features = torch.stack([sources * 1.5, labels + 0.25, sources - labels * 0.5], dim=1)
    return FeatureBatch(features.float().reshape(-1, sum(DIMS)), labels, sources)


class Machine(RuleBasedStateMachine):
    """Rows that came, and a dictionary that was built of them in one way or another."""

    name = "memory"

    def empty(self) -> FeatureDictionary:
        """Return the dictionary before it holds a row."""
        resolved: Any = REGISTRY.resolve(
            FeatureDictionary,
            {"name": self.name, "max_per_class": CAP},
        )
        made: FeatureDictionary = resolved.component(
            resolved.config, num_classes=CLASSES, stream_dims=DIMS, seed=5
        )
        return made

    @initialize(labels=st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=20))
    def build(self, labels: list[int]) -> None:
        """Build it in one part."""
        self.came = list(enumerate(labels))
        self.dictionary = self.empty()
        self.dictionary.build([batch(self.came)])

    @rule(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6), order=st.randoms())
    def build_anew_in_parts(self, sizes: list[int], order: Any) -> None:
        """Build it of the same rows in another order and in other parts."""
        rows = self.came[:]
        order.shuffle(rows)
        parts: list[FeatureBatch] = []
        while rows:
            size = sizes[len(parts) % len(sizes)]
            parts.append(batch(rows[:size]))
            rows = rows[size:]
        self.dictionary = self.empty()
        self.dictionary.build(parts)

    @rule(labels=st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=8))
    def more_rows_come(self, labels: list[int]) -> None:
        """Build one of the rows that are held and of new ones, as a resumed run does."""
        new = [(len(self.came) + index, label) for index, label in enumerate(labels)]
        bigger = self.empty()
        bigger.build([*self.dictionary.rows(), batch(new)])
        self.came += new
        self.dictionary = bigger

    @rule(share=st.integers(0, 100))
    def merge_of_two(self, share: int) -> None:
        """Build two of a share of the rows each, and one of what they hold."""
        cut = len(self.came) * share // 100
        parts: list[FeatureBatch] = []
        for rows in (self.came[:cut], self.came[cut:]):
            part = self.empty()
            part.build([batch(rows)] if rows else [])
            parts += list(part.rows()) if rows else []
        self.dictionary = self.empty()
        self.dictionary.build(parts)

    @rule()
    def save_and_load(self) -> None:
        """Write it, and read it into another one."""
        with tempfile.TemporaryDirectory() as folder:
            self.dictionary.save(Path(folder))
            self.dictionary = self.empty()
            self.dictionary.load(Path(folder))

    @rule(seed=st.integers(0, 9), samples=st.integers(1, 6))
    def draw(self, seed: int, samples: int) -> None:
        """Draw sets and samples: rows of the right class, distinct, as many as there are."""
        sizes = self.dictionary.class_sizes
        held = torch.nonzero(sizes).flatten()
        features = self.dictionary.sample(held, rng_for(seed, "sample"))
        assert (features[:, 1] - 0.25).tolist() == held.tolist()
        drawn = self.dictionary.draw(held, samples_per_class=samples, rng=rng_for(seed, "draw"))
        for place, label in enumerate(held.tolist()):
            group = int(drawn.groups[place])
            rows = drawn.rows[group][drawn.mask[group]]
            assert len(rows) == min(samples, int(sizes[label]))
            assert len(rows.unique()) == len(rows)
            assert (drawn.store[rows][:, 1] - 0.25 == label).all()

    @precondition(lambda self: hasattr(self, "dictionary"))
    @rule()
    def check(self) -> None:
        """Compare it with the model: the sizes, the rows, and that nothing depends on the way."""
        came_of = [sum(label == one for _, label in self.came) for one in range(CLASSES)]
        assert self.dictionary.class_sizes.tolist() == [min(CAP, count) for count in came_of]
        known = dict(self.came)
        store = self.dictionary.store
        for row, source in enumerate(self.dictionary.sources.tolist()):
            label = int(store.labels[row])
            assert known[source] == label
            assert torch.equal(store.features[row], batch([(source, label)]).features[0])
        at_once = self.empty()
        at_once.build([batch(self.came)])
        assert torch.equal(at_once.sources, self.dictionary.sources)
        assert torch.equal(at_once.store.features, store.features)


@pytest.mark.parametrize("name", NAMES)
def test_a_dictionary_is_what_its_model_says(name: str) -> None:
    machine: Any = type(f"{name}Machine", (Machine,), {"name": name})
    case = machine.TestCase
    case.settings = settings(
        max_examples=30, stateful_step_count=15, derandomize=True, deadline=None, database=None
    )
    case().runTest()
