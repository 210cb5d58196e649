"""What a run learned is taken up again from its folder."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fdmo_core.checkpoint import Position, save_checkpoint
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.errors import RunFolderError
from fdmo_core.interfaces import LabelledFeatures
from fdmo_core.journal import Journal
from fdmo_core.out_of_fold import read_out_of_fold
from fdmo_core.registry import Registry
from fdmo_core.samples import Sample, Split, Splits
from fdmo_core.space_learning import learn_space
from fdmo_core.trained_phases import (
    TrainedPhase1,
    TrainedPhase2,
    open_phase1,
    open_phase2,
    open_space,
)

TrainInto = Callable[..., dict[str, Any]]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(
    tiny_run: Callable[..., Run],
    tiny_splits: Splits,
    train_into: TrainInto,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A finished run with cross-fitted features in phase 2."""
    out = tmp_path_factory.mktemp("runs") / "run"
    train_into(out, tiny_run(crossfit={"dictionary": True, "folds": 2}), tiny_splits)
    return out


@pytest.fixture(scope="module")
def phase1(folder: Path, registry: Registry) -> TrainedPhase1:
    return open_phase1(folder, registry, CPU, Journal())


@pytest.fixture(scope="module")
def phase2(phase1: TrainedPhase1) -> TrainedPhase2:
    return open_phase2(phase1, Journal())


def acsa(classifier: torch.nn.Module, rows: LabelledFeatures) -> float:
    predicted = classifier(rows.features).argmax(dim=1)
    classes = rows.labels.unique().tolist()
    hits = [(predicted[rows.labels == one] == one).double().mean().item() for one in classes]
    return float(sum(hits) / len(hits))


def test_both_classifiers_have_the_figures_of_the_run(
    folder: Path, phase1: TrainedPhase1, phase2: TrainedPhase2
) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())["val"]

    features = phase1.validation_features(Journal())

    assert acsa(phase1.model.main_classifier, features) == pytest.approx(metrics["before"]["acsa"])
    assert acsa(phase2.rebalancer.classifier, features) == pytest.approx(metrics["after"]["acsa"])


def test_the_generator_is_the_one_after_the_last_step(
    folder: Path, phase1: TrainedPhase1, phase2: TrainedPhase2
) -> None:
    from safetensors.torch import load_file

    kept = load_file(folder / "checkpoints" / "phase2.safetensors")

    state = phase2.rebalancer.state_dict()
    assert any(key.startswith("generator.") for key in state)
    assert all(torch.equal(kept[f"module.{key}"], value) for key, value in state.items())


def test_phase_2_draws_from_cross_fitted_features_where_it_did(
    folder: Path, phase1: TrainedPhase1, phase2: TrainedPhase2
) -> None:
    labels = torch.from_numpy(phase1.splits.train.labels)
    crossed = read_out_of_fold(folder / "crossfit", 2, labels, phase1.dictionary.sources)

    assert torch.equal(phase2.dictionary.sources, phase1.dictionary.sources)
    assert torch.equal(phase2.dictionary.store.features, crossed.features)
    assert not torch.equal(phase1.dictionary.store.features, crossed.features)


def test_the_space_holds_training_and_validation_features_and_no_test(
    folder: Path, registry: Registry, phase1: TrainedPhase1
) -> None:
    run, space = open_space(folder, registry, CPU, Journal())

    assert run.as_dict() == phase1.run.as_dict()
    assert torch.equal(space.train.features, phase1.dictionary.store.features)
    assert torch.equal(space.splits["val"].features, phase1.validation_features(Journal()).features)
    assert space.splits["test"].features.shape == (0, space.train.features.shape[1])
    assert space.out_of_fold is not None
    weight = phase1.model.main_classifier.get_parameter("weight")
    assert torch.equal(space.classifier.weight, weight)


def test_an_ensemble_is_put_together_again(
    folder: Path,
    tiny_run: Callable[..., Run],
    tiny_splits: Splits,
    train_into: TrainInto,
    registry: Registry,
    tmp_path: Path,
) -> None:
    run = tiny_run(crossfit={"ensemble": True, "folds": 2})
    out = tmp_path / "run"
    metrics = train_into(out, run, tiny_splits)["val"]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}

    found = open_phase1(out, registry, CPU, Journal())

    features = found.validation_features(Journal())
    after = open_phase2(found, Journal()).rebalancer.classifier
    assert acsa(found.model.main_classifier, features) == pytest.approx(metrics["before"]["acsa"])
    assert acsa(after, features) == pytest.approx(metrics["after"]["acsa"])
    assert {path: path.stat().st_mtime_ns for path in before} == before


class Unreadable:
    """A split whose images nobody may read."""

    def __init__(self, split: Split) -> None:
        self.split = split

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.split.labels

    def __getitem__(self, index: int) -> Sample:
        raise AssertionError("an image of another split was read")

    def source(self, index: int) -> str:
        return self.split.source(index)


def test_no_image_of_another_split_is_read(phase1: TrainedPhase1) -> None:
    train, test = Unreadable(phase1.splits.train), Unreadable(phase1.splits.test)
    guarded = replace(phase1, splits=replace(phase1.splits, train=train, test=test))

    features = guarded.validation_features(Journal())

    assert len(features.labels) == len(phase1.splits.val.labels)


def test_a_feature_space_that_is_kept_is_taken_without_its_test_split(
    tiny_run: Callable[..., Run], registry: Registry, tmp_path: Path
) -> None:
    run = tiny_run()
    compute = Compute(CPU, run.core.compute)
    learned = learn_space(run, tmp_path / "run", compute=compute, journal=Journal())

    opened, space = open_space(tmp_path / "run", registry, CPU, Journal())

    assert opened.as_dict() == run.as_dict()
    assert len(learned.splits["test"].labels) > 0
    assert len(space.splits["test"].labels) == 0
    assert torch.equal(space.splits["val"].features, learned.splits["val"].features)


def test_phase_1_of_another_run_is_named_by_the_option(
    folder: Path,
    tiny_run: Callable[..., Run],
    tiny_splits: Splits,
    train_into: TrainInto,
    registry: Registry,
    tmp_path: Path,
    phase1: TrainedPhase1,
) -> None:
    train_into(tmp_path / "borrower", tiny_run(), tiny_splits, phase1_from=folder)

    with pytest.raises(RunFolderError) as caught:
        open_phase1(tmp_path / "borrower", registry, CPU, Journal())
    found = open_phase1(tmp_path / "borrower", registry, CPU, Journal(), lender=folder)

    assert str(caught.value) == (
        f"{tmp_path / 'borrower'} holds no phase 1. Expected checkpoints/phase1.safetensors. If "
        f"the run took its phase 1 from another one, name that one with --phase1-from."
    )
    assert torch.equal(found.dictionary.store.features, phase1.dictionary.store.features)
    assert open_phase2(found, Journal()).dictionary is found.dictionary


def test_a_phase_2_that_is_not_finished_is_refused(
    folder: Path, registry: Registry, phase2: TrainedPhase2, tmp_path: Path
) -> None:
    copied = tmp_path / "run"
    shutil.copytree(folder, copied)
    save_checkpoint(
        copied / "checkpoints",
        "phase2",
        position=Position(0, phase2.rebalancer.num_steps),
        module=phase2.rebalancer,
        optimizers={},
    )

    with pytest.raises(RunFolderError) as caught:
        open_phase2(open_phase1(copied, registry, CPU, Journal()), Journal())

    assert str(caught.value) == (
        f"Phase 2 of {copied} has 0 steps done. Expected all {phase2.rebalancer.num_steps}. Let "
        f"that run finish first."
    )


def test_a_rebalancer_without_steps_needs_no_checkpoint(
    tiny_run: Callable[..., Run],
    tiny_splits: Splits,
    train_into: TrainInto,
    registry: Registry,
    folder: Path,
    tmp_path: Path,
) -> None:
    run = tiny_run(rebalancer={"epochs": 0})
    train_into(tmp_path / "run", run, tiny_splits, phase1_from=folder)

    found = open_phase1(tmp_path / "run", registry, CPU, Journal(), lender=folder)

    assert open_phase2(found, Journal()).rebalancer.num_steps == 0


def test_what_is_no_run_folder_is_refused(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError) as caught:
        open_phase1(tmp_path, registry, CPU, Journal())

    assert str(caught.value) == (
        f"{tmp_path} is no run folder: it has no config.toml. Expected a folder that 'fdmo train' "
        f"wrote. Check the path."
    )
