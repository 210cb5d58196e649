"""A run on data that are features: the same path as for images, without an extractor."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.data import some_samples
from fdmo_core.engine import check_run
from fdmo_core.errors import ConfigError
from fdmo_core.interfaces import Dataset
from fdmo_core.journal import Journal
from fdmo_core.phase2 import rebalance
from fdmo_core.preprocessing import prepare_all
from fdmo_core.registry import Registry
from fdmo_core.run_folder import TrainedRun, load_run
from fdmo_core.samples import Splits
from fdmo_core.space_learning import learn_space
from fdmo_export.runtime import OnnxClassifier
from fdmo_export.write import export_run

MakeRun = Callable[..., Run]
TrainInto = Callable[..., dict[str, Any]]
CPU = Compute(torch.device("cpu"))
HEAD = {"shape_epochs": 3, "epochs": 30, "batch_size": 16, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def run(tiny_run: MakeRun) -> Run:
    return tiny_run(phase1=HEAD)


@pytest.fixture(scope="module")
def folder(
    run: Run,
    feature_splits: Splits,
    train_into: TrainInto,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "features"
    train_into(folder, run, feature_splits)
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path, registry: Registry) -> TrainedRun:
    return load_run(folder, registry)


def test_the_head_learns_and_both_phases_are_evaluated(folder: Path) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())

    for when in ("before", "after"):
        assert metrics["test"][when]["samples"] == 15
        assert metrics["test"][when]["acsa"] > 0.8


def test_only_the_head_trains_for_the_epochs_of_the_whole_network(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line.get("phase") == "phase1"]

    assert len(steps) == 30 * 3  # 48 rows, 16 a step
    assert {key for line in steps for key in line} == {"time", "phase", "step", "of", "sum", "main"}


def test_the_dictionary_holds_standardised_features_and_their_sources(
    folder: Path, trained: TrainedRun, feature_splits: Splits
) -> None:
    dictionary = load_file(folder / "dictionary" / "features.safetensors")
    sources = json.loads((folder / "dictionary" / "sources.json").read_text())

    assert len(sources) == 48
    row = sources.index("a 17")
    (found,) = (one[row] for key, one in dictionary.items() if "features" in key)
    expected = trained.model.prefix(torch.tensor(feature_splits.train[17].features)[None])
    torch.testing.assert_close(found, expected[0])


def test_the_exported_file_takes_raw_features_and_answers_as_the_run(
    trained: TrainedRun, feature_splits: Splits, tmp_path: Path
) -> None:
    inputs = prepare_all(some_samples(feature_splits)[0], 16)

    report = export_run(trained, feature_splits, tmp_path / "model.onnx")

    assert all(one.agrees for one in report.parity.network)
    classifier = OnnxClassifier(tmp_path / "model.onnx")
    found = classifier.run(inputs.numpy())
    assert (classifier.feature_dim, classifier.image_size) == (8, 0)
    assert tuple(found) == ("probabilities", "logits")
    stored = load_file(trained.folder / "model.safetensors")
    standardised = (inputs - stored["standardization.mean"]) / stored["standardization.deviation"]
    weight = stored["main_classifier.weight"]  # of LDAM's cosine scores
    cosines = torch.nn.functional.cosine_similarity(standardised[:, None], weight[None], dim=2)
    expected = trained.run.loss.config.scale * cosines
    np.testing.assert_allclose(found["logits"], expected.numpy(), rtol=1e-4, atol=1e-5)


def test_another_run_borrows_phase_1(
    run: Run, feature_splits: Splits, folder: Path, train_into: TrainInto, tmp_path: Path
) -> None:
    train_into(tmp_path / "again", run, feature_splits, phase1_from=folder)

    assert (tmp_path / "again" / "metrics.json").read_bytes() == (
        folder / "metrics.json"
    ).read_bytes()


def test_scale_and_shift_of_the_features_change_nothing_that_matters(
    run: Run, feature_splits: Splits, train_into: TrainInto, tmp_path: Path
) -> None:
    class Scaled:
        def __init__(self, split: Any) -> None:
            self.labels, self.source, self._split = split.labels, split.source, split

        def __getitem__(self, index: int) -> Any:
            sample = self._split[index]
            return replace(sample, features=sample.features * np.float32(1000) - np.float32(77))

    train, val, test = (Scaled(split) for split in feature_splits.named().values())
    scaled = replace(feature_splits, train=train, val=val, test=test)

    metrics = train_into(tmp_path / "scaled", run, scaled)

    assert metrics["test"]["before"]["acsa"] > 0.8


def test_a_head_that_would_train_for_no_epoch_is_refused_before_all(
    tiny_run: MakeRun, feature_splits: Splits
) -> None:
    with pytest.raises(ConfigError, match=r"^phase1\.epochs is 0, and data that are features have"):
        check_run(tiny_run(phase1={"shape_epochs": 3, "epochs": 0}), feature_splits)


def test_a_file_of_features_becomes_a_feature_space_with_folds(
    tiny_run: MakeRun, registry: Registry, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [60, 30, 12])
    vectors = rng.normal(size=(102, 6)) + 4 * rng.normal(size=(3, 6))[labels]
    np.savez(tmp_path / "f.npz", X=vectors, y=labels)
    data = {"name": "features", "file": str(tmp_path / "f.npz"), "stream_dims": [2, 4]}
    dataset = registry.resolve(Dataset, data)  # type: ignore[type-abstract]
    run = replace(tiny_run(phase1=HEAD, crossfit={"folds": 2}), data=dataset)

    space = learn_space(run, tmp_path / "run", compute=CPU, journal=Journal(), out_of_fold=True)
    rebalancer = rebalance(run, space, device=torch.device("cpu"), journal=Journal())

    assert space.stream_dims == (2, 4)
    assert space.out_of_fold is not None
    torch.testing.assert_close(space.out_of_fold.features, space.train.features)
    logits = rebalancer.classifier(space.splits["test"].features)
    assert (logits.argmax(dim=1) == space.splits["test"].labels).float().mean() > 0.8
