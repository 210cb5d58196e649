import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fdmo_core.classifier import LinearClassifier
from fdmo_core.config import Run, resolve_run
from fdmo_core.ensemble import Ensemble, mean_classifier
from fdmo_core.evaluation import model_predictor
from fdmo_core.model_building import build_model
from fdmo_core.preprocessing import prepare
from fdmo_core.registry import Registry
from fdmo_core.run_folder import load_run
from fdmo_core.samples import Splits
from fdmo_export.write import export_run

MakeRun = Callable[..., Run]


@pytest.fixture(scope="module")
def run(tiny_run: MakeRun, registry: Registry) -> Run:
    content = tiny_run(crossfit={"folds": 2, "ensemble": True}).as_dict()
    chosen = {"name": "logit-adjustment", "fit_on": "out-of-fold"}
    return resolve_run({**content, "rebalancer": chosen}, registry)


@pytest.fixture(scope="module")
def folder(
    run: Run,
    tiny_splits: Splits,
    train_into: Callable[..., dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("ensemble") / "run"
    train_into(folder, run, tiny_splits)
    return folder


def test_the_mean_of_classifiers_is_one_classifier_of_all_features() -> None:
    one, other = LinearClassifier(3, 4), LinearClassifier(2, 4)
    left, right = torch.randn(5, 3), torch.randn(5, 2)

    mean = mean_classifier([one, other])
    expected = (one(left) + other(right)) / 2
    torch.testing.assert_close(mean(torch.cat([left, right], dim=1)), expected)


def test_all_outputs_agree(tiny_run: MakeRun) -> None:
    members = [build_model(tiny_run(seed), num_classes=5, num_landmarks=2) for seed in range(3)]
    ensemble = Ensemble(members).eval()
    images = torch.rand(2, 3, 24, 24)
    with torch.no_grad():
        found = ensemble(ensemble.prefix(images))

    assert torch.equal(found.features, ensemble.extract(ensemble.prefix(images)))
    assert found.features.shape == (2, sum(ensemble.stream_dims))
    assert torch.equal(found.logits, ensemble.main_classifier(found.features))
    assert found.shape_stream is not None
    assert found.shape_stream.landmarks is not None
    assert [member.landmark_head is None for member in members] == [False, True, True]


def test_a_run_with_an_ensemble_is_loaded_as_it_ended(
    folder: Path, run: Run, registry: Registry, tiny_splits: Splits
) -> None:
    loaded = load_run(folder, registry)

    assert isinstance(loaded.model, Ensemble)
    assert len(loaded.model.members) == 3
    images = torch.stack([prepare(tiny_splits.val[row], 24).image for row in range(24)])
    predicted = model_predictor(loaded.model, torch.device("cpu"))(images).argmax(dim=1)
    correct = (predicted.numpy() == tiny_splits.val.labels).mean()
    metrics = json.loads((folder / "metrics.json").read_text())["val"]["after"]
    assert metrics["samples"] == len(images)
    assert metrics["top1"] == pytest.approx(correct)


def test_an_ensemble_is_exported_like_one_network(
    folder: Path, registry: Registry, tiny_splits: Splits, tmp_path: Path
) -> None:
    report = export_run(load_run(folder, registry), tiny_splits, tmp_path / "model.onnx")

    assert [one.label_flips for one in report.parity.network] == [0, 0, 0]
