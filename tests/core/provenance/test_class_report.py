"""What is reported of a class's artificial features, by a small rebalancer."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from fdmo_core import (
    ArtificialFeatures,
    ComponentConfig,
    ConfigError,
    DataError,
    FeatureBatch,
    FeatureDictionary,
    Rebalancer,
)
from fdmo_core.provenance.class_report import (
    MAX_REAL,
    NUM_DRAWS,
    PER_DRAW,
    ClassReport,
    make_artificial,
    report_class,
)
from fdmo_core.provenance.coverage import coverage
from fdmo_core.provenance.mmd import median_distance, squared_mmd
from fdmo_core.testing.toys import STREAM_DIMS, ToyDictionary, ToyDictionaryConfig

CLASS_SIZES = (600, 9, 1, 0)


class HalvesConfig(ComponentConfig):
    """No options."""

    name: Literal["halves"] = "halves"
    makes: Literal["mixtures", "nameless", "nothing"] = "mixtures"


class Halves(Rebalancer):
    """Makes features halfway between two rows of a class."""

    config_class: ClassVar[type[ComponentConfig]] = HalvesConfig
    num_steps = 0

    def __init__(self, dictionary: FeatureDictionary, makes: str = "mixtures") -> None:
        nn.Module.__init__(self)
        self.config = HalvesConfig.model_validate({"makes": makes})
        self.dictionary = dictionary

    @property
    def classifier(self) -> nn.Module:
        return nn.Identity()

    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        return {}

    def make_artificial(self, labels: Tensor, rng: torch.Generator) -> ArtificialFeatures | None:
        if self.config.makes == "nothing":
            return None
        store, own = self.dictionary.store
        rows = torch.nonzero(own == labels[0]).flatten()
        rows = rows[torch.randint(len(rows), (len(labels), 2), generator=rng)]  # (B, 2)
        features = store[rows].mean(dim=1)
        weights = torch.full((len(labels), len(STREAM_DIMS), 2), 0.5)
        named = self.config.makes == "mixtures"
        return ArtificialFeatures(features, weights if named else None, rows if named else None)


@pytest.fixture(scope="module")
def dictionary() -> FeatureDictionary:
    labels = torch.arange(4).repeat_interleave(torch.tensor(CLASS_SIZES))
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(len(labels), sum(STREAM_DIMS), generator=rng) + labels.unsqueeze(1)
    made = ToyDictionary(ToyDictionaryConfig(), num_classes=4, stream_dims=STREAM_DIMS, seed=0)
    made.build([FeatureBatch(features, labels, torch.arange(len(labels)) + 100)])
    return made


def report(
    dictionary: FeatureDictionary, label: int, *, held_out: int = 20, makes: str = "mixtures"
) -> ClassReport:
    rng = torch.Generator().manual_seed(1)
    features = torch.randn(held_out, sum(STREAM_DIMS), generator=rng) + label
    rebalancer = Halves(dictionary, makes)
    return report_class(label, rebalancer, dictionary, features, name="Kimono", seed=5)


def test_every_artificial_feature_is_the_sum_of_its_sources(dictionary: FeatureDictionary) -> None:
    found = report(dictionary, 1)

    assert len(found.artificial) == NUM_DRAWS * PER_DRAW
    assert found.mixtures is not None
    for feature, mixture in zip(found.artificial, found.mixtures, strict=True):
        streams = dictionary.store.features.double().split(STREAM_DIMS, dim=1)
        parts = [
            weights @ stream[mixture.rows]
            for weights, stream in zip(mixture.weights, streams, strict=True)
        ]
        assert torch.allclose(torch.cat(parts).float(), feature, atol=1e-6)
        assert dictionary.store.labels[mixture.rows].tolist() == [1] * len(mixture.rows)


def test_features_of_different_draws_come_in_turn(dictionary: FeatureDictionary) -> None:
    rebalancer = Halves(dictionary)

    made = make_artificial(1, rebalancer, seed=5)

    assert made.rows is not None
    assert len({tuple(rows) for rows in made.rows[:8].tolist()}) > 1
    again = make_artificial(1, rebalancer, seed=5)
    other = make_artificial(1, rebalancer, seed=6)
    assert torch.equal(made.features, again.features)
    assert not torch.equal(made.features, other.features)


def test_the_figures_are_those_of_the_features(dictionary: FeatureDictionary) -> None:
    found = report(dictionary, 1)

    figures = found.figures
    width = median_distance(found.real)
    assert (figures.dictionary_rows, figures.held_out_rows) == (9, 20)
    assert figures.mmd == squared_mmd(found.real, found.artificial, width)
    assert figures.coverage == coverage(found.held_out, found.artificial)
    assert figures.coverage_by_dictionary == coverage(found.held_out, found.real)
    assert figures.mmd_of_halves is not None
    assert figures.mmd_of_halves > 0
    assert found.mixtures is not None
    numbers = [len(one.rows) for one in found.mixtures]  # equal weights: as many count
    assert figures.effective_sources == pytest.approx(sum(numbers) / len(numbers))


def test_of_a_large_class_some_rows_count(dictionary: FeatureDictionary) -> None:
    found = report(dictionary, 0)

    assert found.figures.dictionary_rows == 600
    assert len(found.real) == MAX_REAL
    assert len(found.real.unique(dim=0)) == MAX_REAL


def test_what_a_single_row_cannot_tell_is_left_open(dictionary: FeatureDictionary) -> None:
    figures = report(dictionary, 2, held_out=1).figures

    assert (figures.mmd, figures.mmd_of_halves) == (None, None)
    assert (figures.coverage, figures.coverage_by_dictionary) == (None, None)
    assert figures.effective_sources == 1


def test_a_generator_that_names_no_sources_still_has_distances(
    dictionary: FeatureDictionary,
) -> None:
    found = report(dictionary, 1, makes="nameless")

    assert found.mixtures is None
    assert found.figures.entropy is None
    assert found.figures.effective_sources is None
    assert found.figures.mmd is not None


def test_a_rebalancer_without_artificial_features_is_named(dictionary: FeatureDictionary) -> None:
    with pytest.raises(ConfigError) as caught:
        report(dictionary, 1, makes="nothing")

    assert str(caught.value) == (
        "Rebalancer 'halves' trained on no artificial features. Expected one that does, such as "
        "'adversarial' with rebalancer.artificial = true. Train phase 2 with it from the same "
        "phase 1: fdmo train --phase1-from RUN."
    )


def test_a_class_without_features_is_named(dictionary: FeatureDictionary) -> None:
    with pytest.raises(DataError) as caught:
        report(dictionary, 3)

    assert str(caught.value) == (
        "The dictionary holds no feature of class 'Kimono'. Expected at least one to make others "
        "from. Give the class training images, or choose another class."
    )
