from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from fdmo_core.augmentation import AugmentationConfig
from fdmo_core.checkpoint import Position, checkpoint_files, load_checkpoint, save_checkpoint
from fdmo_core.classifier import CosineClassifier, LinearClassifier
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.data import open_batches
from fdmo_core.interfaces import ComponentConfig, FeatureDictionary, Phase2Parts, Rebalancer
from fdmo_core.journal import Journal, Progress
from fdmo_core.maps import LiveMaps, Maps
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.model_building import build_model
from fdmo_core.phase2 import (
    build_dictionary,
    extract_features,
    held_out_scores,
    start_phase2,
    train_phase2,
)
from fdmo_core.randomness import rng_for
from fdmo_core.samples import Splits
from fdmo_core.testing.expectations import differing, snapshot
from fdmo_core.testing.toys import (
    STREAM_DIMS,
    ToyLoss,
    ToyLossConfig,
    toy_dictionary,
    toy_generator,
    toy_held_out,
)

MakeRun = Callable[..., Run]
CPU = Compute(torch.device("cpu"))


@dataclass(frozen=True)
class Prepared:
    """What lies before phase 2: an untrained model with its data and dictionary."""

    model: TwoStreamClassifier
    maps: Maps
    dictionary: FeatureDictionary
    class_counts: Tensor


@pytest.fixture(scope="module")
def prepared(tiny_run: MakeRun, tiny_splits: Splits) -> Prepared:
    run = tiny_run()
    model = build_model(run, num_classes=12, num_landmarks=0)
    batches = open_batches(tiny_splits, 24, run.core.loading)["train"]
    maps = LiveMaps(batches, model, CPU, augmentation=AugmentationConfig())
    dictionary = built(run, model, maps)
    return Prepared(model, maps, dictionary, torch.from_numpy(tiny_splits.counts("train")))


def built(run: Run, model: TwoStreamClassifier, maps: Maps) -> FeatureDictionary:
    return build_dictionary(model, maps, run, num_classes=12, compute=CPU, journal=Journal())


def features_by_source(dictionary: FeatureDictionary) -> dict[int, Tensor]:
    """Return each row of a dictionary by the image that it comes from."""
    drawn = dictionary.draw(torch.arange(12), samples_per_class=1, rng=rng_for(0))
    return dict(zip(dictionary.sources.tolist(), drawn.store, strict=True))


def started(run: Run, prepared: Prepared) -> Rebalancer:
    return start_phase2(
        run,
        classifier=prepared.model.main_classifier,
        dictionary=prepared.dictionary,
        class_counts=prepared.class_counts,
        held_out=partial(
            held_out_scores,
            model=prepared.model,
            validation=prepared.maps,
            out_of_fold=None,
            compute=CPU,
            journal=Journal(),
        ),
        device=CPU.device,
    )


def test_features_are_extracted_in_order_with_labels_and_sources(prepared: Prepared) -> None:
    parts = list(extract_features(prepared.model, prepared.maps, compute=CPU, journal=Journal()))

    (everything,) = prepared.maps.in_order(len(prepared.maps))
    with torch.no_grad():
        expected = prepared.model.extract(everything.maps)
    features, labels, sources = (torch.cat(column) for column in zip(*parts, strict=True))
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(labels, prepared.maps.labels)
    assert sources.tolist() == list(range(len(prepared.maps)))


def test_features_are_extracted_in_evaluation_mode_and_without_gradients(
    prepared: Prepared,
) -> None:
    prepared.model.train()
    before = snapshot(prepared.model)
    shown: list[Progress] = []

    parts = extract_features(
        prepared.model, prepared.maps, compute=CPU, journal=Journal(show=shown.append)
    )

    assert not any(part.features.requires_grad for part in parts)
    assert differing(before, snapshot(prepared.model)) == []
    assert shown[-1].phase == "dictionary"
    assert shown[-1].done == shown[-1].total == len(shown)


def test_the_dictionary_holds_the_features_of_the_training_split_and_nothing_else(
    prepared: Prepared,
) -> None:
    (part,) = extract_features(prepared.model, prepared.maps, compute=CPU, journal=Journal())

    rows = features_by_source(prepared.dictionary)

    assert sorted(rows) == list(range(len(prepared.maps)))
    assert all(torch.equal(rows[source], part.features[source]) for source in rows)
    assert torch.equal(prepared.dictionary.class_sizes, prepared.class_counts)
    assert prepared.dictionary.stream_dims == prepared.model.stream_dims


def test_a_capped_dictionary_holds_rows_of_the_full_one(
    tiny_run: MakeRun, prepared: Prepared
) -> None:
    run = tiny_run(dictionary={"name": "memory", "max_per_class": 5})

    capped = built(run, prepared.model, prepared.maps)

    assert torch.equal(capped.class_sizes, prepared.class_counts.clamp(max=5))
    whole = features_by_source(prepared.dictionary)
    for source, feature in features_by_source(capped).items():
        assert torch.equal(feature, whole[source])


def test_the_seed_decides_which_rows_a_capped_dictionary_holds(
    tiny_run: MakeRun, prepared: Prepared
) -> None:
    capped = {"name": "memory", "max_per_class": 5}

    sources = [
        built(tiny_run(seed=seed, dictionary=capped), prepared.model, prepared.maps).sources
        for seed in (0, 0, 1)
    ]

    assert torch.equal(sources[0], sources[1])
    assert not torch.equal(sources[0], sources[2])


def test_the_configured_parts_meet_in_the_rebalancer(tiny_run: MakeRun, prepared: Prepared) -> None:
    run = tiny_run(loss={"name": "focal", "gamma": 1.5}, rebalancer={"samples_per_class": 4})

    rebalancer = started(run, prepared)

    assert rebalancer.get_submodule("loss").config == run.loss.config
    generator: Any = rebalancer.get_submodule("generator")
    assert generator.config == run.generator.config
    assert (generator.samples_per_class, generator.num_classes) == (4, 12)
    assert generator.stream_dims == prepared.model.stream_dims


@pytest.mark.parametrize(
    ("loss", "head"), [("ldam", CosineClassifier), ("cross-entropy", LinearClassifier)]
)
def test_phase_2_begins_with_the_weights_of_phase_1(
    tiny_run: MakeRun, prepared: Prepared, loss: str, head: type[nn.Module]
) -> None:
    classifier = started(tiny_run(loss={"name": loss}), prepared).classifier

    assert isinstance(classifier, head)
    trained = prepared.model.main_classifier.get_parameter("weight")
    assert torch.equal(classifier.get_parameter("weight"), trained)


def test_the_seed_decides_how_phase_2_begins(tiny_run: MakeRun, prepared: Prepared) -> None:
    first, other = (started(tiny_run(seed=seed), prepared) for seed in (0, 1))
    torch.manual_seed(99)
    again = started(tiny_run(), prepared)

    assert differing(snapshot(first), snapshot(again)) == []
    assert any("generator" in name for name in differing(snapshot(first), snapshot(other)))


def test_phase_2_leaves_model_and_dictionary_as_they_are(
    tiny_run: MakeRun, prepared: Prepared
) -> None:
    before = snapshot(prepared.model)
    rows = {source: row.clone() for source, row in features_by_source(prepared.dictionary).items()}

    train_phase2(started(tiny_run(), prepared), seed=0, journal=Journal())

    assert differing(before, snapshot(prepared.model)) == []
    after = features_by_source(prepared.dictionary)
    assert all(torch.equal(after[source], row) for source, row in rows.items())


def saving(rebalancer: Rebalancer, folder: Path, *, after: int) -> Callable[[Position], None]:
    """Return what writes a checkpoint after one step and lets the others pass."""

    def save(position: Position) -> None:
        if position.done == after:
            optimizers = rebalancer.optimizers()
            save_checkpoint(
                folder, "phase2", position=position, module=rebalancer, optimizers=optimizers
            )

    return save


@pytest.mark.parametrize("weights", ["per-sample", "per-feature"])
@pytest.mark.parametrize("loss", ["cross-entropy", "squared-error", "focal", "ldam"])
def test_a_run_that_goes_on_from_a_checkpoint_equals_the_uninterrupted_one_bit_for_bit(
    tiny_run: MakeRun, prepared: Prepared, tmp_path: Path, loss: str, weights: str
) -> None:
    sections = {
        "loss": {"name": loss},
        "rebalancer": {"epochs": 4},
        "generator": {"weights": weights},
    }
    whole, resumed = (started(tiny_run(seed=seed, **sections), prepared) for seed in (0, 1))
    middle = whole.num_steps // 2
    shown: list[Progress] = []
    train_phase2(
        whole,
        seed=0,
        journal=Journal(show=shown.append),
        after_step=saving(whole, tmp_path, after=middle),
    )

    resumed_shown: list[Progress] = []
    file, _ = checkpoint_files(tmp_path, "phase2")
    done, total = load_checkpoint(file, module=resumed, optimizers=resumed.optimizers())
    train_phase2(resumed, seed=0, journal=Journal(show=resumed_shown.append), first_step=done)

    assert total == whole.num_steps
    assert done == middle >= 6  # the discriminator learns at steps 0, 5 and 10
    assert differing(snapshot(whole), snapshot(resumed)) == []
    assert resumed_shown == shown[middle:]


class DrawingConfig(ComponentConfig):
    name: Literal["drawing"] = "drawing"


class DrawingRebalancer(Rebalancer):
    """Learns nothing, and logs what both random generators draw in each step."""

    num_steps = 5

    @property
    def classifier(self) -> nn.Module:
        return nn.Identity()

    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        return {"index": index, "own": torch.rand(1, generator=rng).item(), "torch": draw()}


def draw() -> float:
    return torch.rand(1).item()


def drawing() -> DrawingRebalancer:
    counts = torch.tensor([5, 3])
    classifier = LinearClassifier(sum(STREAM_DIMS), 2)
    parts = Phase2Parts(
        classifier=classifier,
        dictionary=toy_dictionary([5, 3]),
        class_counts=counts,
        make_generator=partial(toy_generator, num_classes=2),
        loss=ToyLoss(ToyLossConfig(), class_counts=counts),
        held_out=partial(toy_held_out, [5, 3], classifier),
        rng=rng_for(0),
    )
    return DrawingRebalancer(DrawingConfig(), parts=parts)


def draws(*, seed: int = 0, first_step: int = 0) -> list[Progress]:
    shown: list[Progress] = []
    train_phase2(drawing(), seed=seed, journal=Journal(show=shown.append), first_step=first_step)
    return shown


def test_every_step_is_done_once_in_order_and_told() -> None:
    shown = draws()

    assert [one.terms["index"] for one in shown] == [0, 1, 2, 3, 4]
    assert [one.done for one in shown] == [1, 2, 3, 4, 5]
    assert {(one.phase, one.total) for one in shown} == {("phase2", 5)}


def test_what_a_step_draws_depends_on_seed_and_step_alone() -> None:
    shown = draws()
    torch.manual_seed(99)

    assert draws() == shown
    assert draws(first_step=3) == shown[3:]
    for name in ("own", "torch"):
        everything = [one.terms[name] for one in (*shown, *draws(seed=1))]
        assert len(set(everything)) == 10


def test_the_end_of_each_step_is_told() -> None:
    told: list[Position] = []

    train_phase2(drawing(), seed=0, journal=Journal(), first_step=2, after_step=told.append)

    assert told == [(3, 5), (4, 5), (5, 5)]
    assert [one.is_end for one in told] == [False, False, True]


def test_no_epochs_are_no_steps(tiny_run: MakeRun, prepared: Prepared) -> None:
    rebalancer = started(tiny_run(rebalancer={"epochs": 0}), prepared)
    before = snapshot(rebalancer)
    shown: list[Progress] = []

    train_phase2(rebalancer, seed=0, journal=Journal(show=shown.append))

    assert shown == []
    assert differing(before, snapshot(rebalancer)) == []
