import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fdmo_core.augmentation import AugmentationConfig
from fdmo_core.classifier import LinearClassifier
from fdmo_core.compute import Compute
from fdmo_core.config import Run, read_toml, resolve_run
from fdmo_core.data import open_batches
from fdmo_core.engine import check_run, evaluate
from fdmo_core.errors import ConfigError
from fdmo_core.evaluation import score_maps
from fdmo_core.journal import Journal
from fdmo_core.maps import LiveMaps
from fdmo_core.model_building import build_model
from fdmo_core.registry import Registry
from fdmo_core.run_folder import load_run
from fdmo_core.samples import Splits
from fdmo_core.sealed import read_sealed
from fdmo_core.testing.expectations import differing, snapshot
from fdmo_core.world import World
from fdmo_plugins.datasets.garments.dataset import GarmentsSplit

MakeRun = Callable[..., Run]
TrainInto = Callable[..., dict[str, Any]]
CPU = Compute(torch.device("cpu"))
WEIGHTS = ("weight", "bias")


@dataclass(frozen=True)
class Trained:
    """A run that was trained, with what its training returned."""

    folder: Path
    metrics: dict[str, Any]

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))


MakeTrained = Callable[[Run, Splits, Path], Trained]


@pytest.fixture(scope="module")
def trained(train_into: TrainInto) -> Callable[[Run, Splits, Path], Trained]:
    return lambda run, splits, out: Trained(out, train_into(out, run, splits))


@pytest.fixture(scope="module")
def tiny(
    trained: MakeTrained,
    tiny_run: MakeRun,
    tiny_splits: Splits,
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    return trained(tiny_run(), tiny_splits, tmp_path_factory.mktemp("runs") / "tiny")


def other_pictures(split: str, per_class: int) -> GarmentsSplit:
    return GarmentsSplit(split, counts=np.full(12, per_class), seed=4321)


def assert_same_files(one: Trained, other: Trained, *names: str) -> None:
    for name in names:
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes(), name


def test_a_run_folder_has_every_file_and_no_other(tiny: Trained) -> None:
    files = [path for path in tiny.folder.rglob("*") if path.is_file()]

    assert sorted(str(path.relative_to(tiny.folder)) for path in files) == [
        "checkpoints/phase1.safetensors",
        "checkpoints/phase2.safetensors",
        "config.toml",
        "data.json",
        "dictionary/features.safetensors",
        "dictionary/manifest.json",
        "dictionary/sources.json",
        "environment.json",
        "health.json",
        "log.jsonl",
        "manifest.json",
        "metrics.json",
        "model.json",
        "model.safetensors",
    ]


def test_the_written_configuration_repeats_the_run_bit_for_bit(
    trained: MakeTrained, tiny: Trained, tiny_splits: Splits, registry: Registry, tmp_path: Path
) -> None:
    run = resolve_run(read_toml(tiny.folder / "config.toml"), registry)
    torch.manual_seed(99)  # must not matter

    again = trained(run, tiny_splits, tmp_path / "again")

    assert again.metrics == tiny.metrics
    assert_same_files(
        again,
        tiny,
        "config.toml",
        "model.safetensors",
        "model.json",
        "metrics.json",
        "dictionary/features.safetensors",
        "checkpoints/phase2.safetensors",
    )


def test_another_seed_gives_another_model(
    trained: MakeTrained, tiny: Trained, tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    other = trained(tiny_run(seed=1), tiny_splits, tmp_path / "other")

    first, second = (load_file(one.folder / "model.safetensors") for one in (tiny, other))
    assert not torch.equal(first["main_classifier.weight"], second["main_classifier.weight"])


def test_the_test_split_chooses_nothing(
    trained: MakeTrained, tiny: Trained, tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    changed = replace(tiny_splits, test=other_pictures("test", 3))

    other = trained(tiny_run(), changed, tmp_path / "other")

    assert_same_files(
        other, tiny, "model.safetensors", "dictionary/features.safetensors", "config.toml"
    )
    assert other.metrics["val"] == tiny.metrics["val"]
    assert other.metrics["test"] != tiny.metrics["test"]


def test_metrics_are_by_split_and_then_before_and_after_phase_2(tiny: Trained) -> None:
    metrics = tiny.read("metrics.json")

    assert metrics == json.loads(json.dumps(tiny.metrics))
    assert list(metrics) == ["val", "test"]
    for split in metrics.values():
        assert list(split) == ["before", "after"]
        for figures in split.values():
            assert {"top1", "top5", "acsa", "geometric_mean", "few"} <= figures.keys()
            assert figures["samples"] == 24
            assert len(figures["classes"]) == 12


def test_phase_2_changes_the_main_classifier_and_nothing_else(tiny: Trained) -> None:
    phase1 = load_file(tiny.folder / "checkpoints" / "phase1.safetensors")

    model = load_file(tiny.folder / "model.safetensors")

    changed = [name for name in model if not torch.equal(model[name], phase1[f"module.{name}"])]
    assert changed == ["main_classifier.weight"]  # ldam's head has no bias
    assert "module.main_classifier.bias" in phase1


def test_metrics_are_those_of_the_classifiers_of_both_phases(
    tiny: Trained, tiny_splits: Splits, registry: Registry
) -> None:
    loaded = load_run(tiny.folder, registry)
    phase1 = load_file(tiny.folder / "checkpoints" / "phase1.safetensors")
    before = LinearClassifier(64, 12)
    before.load_state_dict({key: phase1[f"module.main_classifier.{key}"] for key in WEIGHTS})
    classifiers = {"before": before, "after": loaded.model.main_classifier}

    batches = open_batches(tiny_splits, 24, loaded.run.core.loading)["test"]
    maps = LiveMaps(batches, loaded.model, CPU, augmentation=AugmentationConfig())
    scored = score_maps(
        maps, loaded.model, classifiers, compute=CPU, journal=Journal(), split="test"
    )
    again = evaluate(
        {"test": scored},
        classifiers,
        class_names=loaded.class_names,
        train_counts=loaded.class_counts,
        config=loaded.run.core.metrics,
        seed=loaded.run.core.seed,
        world=World(),
    )

    assert again["test"] == tiny.metrics["test"]
    assert again["test"]["before"] != again["test"]["after"]


def test_checkpoints_are_those_after_the_last_steps(tiny: Trained) -> None:
    for phase in ("phase1", "phase2"):
        head = read_sealed(tiny.folder / "checkpoints" / f"{phase}.safetensors").head
        assert head["done"] == head["total"] == sum(one.get("phase") == phase for one in log(tiny))
    weights = load_file(tiny.folder / "checkpoints" / "phase2.safetensors")
    model = load_file(tiny.folder / "model.safetensors")
    name = "main_classifier.weight"
    assert torch.equal(weights[f"module.{name}"], model[name])


def log(run: Trained) -> list[dict[str, Any]]:
    lines = (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_log_has_a_line_for_each_step_of_both_phases(tiny: Trained) -> None:
    for phase in ("phase1", "phase2"):
        steps = [line for line in log(tiny) if line.get("phase") == phase]

        assert [line["step"] for line in steps] == list(range(steps[0]["of"]))


def test_the_log_has_the_notices(tiny: Trained) -> None:
    notices = [line["notice"] for line in log(tiny) if "notice" in line]

    assert len(notices) == 2
    assert "classes hold fewer than samples_per_class = 5 features" in notices[0]
    assert notices[1].startswith("Artificial features: ")


def test_the_run_describes_its_data_and_its_environment(tiny: Trained, tiny_splits: Splits) -> None:
    data, environment = tiny.read("data.json"), tiny.read("environment.json")

    assert data["class_names"] == list(tiny_splits.class_names)
    assert data["counts"]["train"] == tiny_splits.counts("train").tolist()
    assert data["digest"] == tiny_splits.digest
    assert (environment["command"], environment["device"]) == ("fdmo train", "cpu")
    assert environment["processes"] == 1


def test_a_split_without_images_has_no_metrics(
    trained: MakeTrained, tiny: Trained, tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    without = trained(
        tiny_run(), replace(tiny_splits, val=other_pictures("val", 0)), tmp_path / "without"
    )

    assert without.metrics["val"] is None
    assert without.metrics["test"] == tiny.metrics["test"]


def test_data_without_landmarks_is_trained_without_a_landmark_head(
    trained: MakeTrained, tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    plain = replace(tiny_splits, landmark_names=(), mirrored_landmarks=())

    run = trained(tiny_run(), plain, tmp_path / "plain")

    notices = [line["notice"] for line in log(run) if "notice" in line]
    assert notices[0] == "The data set has no landmarks, so no landmark head is built."
    assert not any("landmark" in name for name in load_file(run.folder / "model.safetensors"))


def test_a_sound_run_passes_the_check(tiny_run: MakeRun, tiny_splits: Splits) -> None:
    check_run(tiny_run(), tiny_splits)
    check_run(tiny_run(model={"auxiliary_classifier": False}), tiny_splits)
    check_run(tiny_run(), replace(tiny_splits, landmark_names=()))


def test_the_check_gives_the_network_that_phase_1_begins_with(
    tiny_run: MakeRun, tiny_splits: Splits
) -> None:
    frozen = tiny_run(texture_stream={"freeze_stages": 1}, shape_stream={"freeze_stages": 1})

    for run in (tiny_run(), frozen):
        expected = build_model(run, num_classes=12, num_landmarks=8)
        assert differing(snapshot(check_run(run, tiny_splits)), snapshot(expected)) == []


def test_a_shape_stream_without_a_target_is_refused_before_the_run(
    tiny_run: MakeRun, tiny_splits: Splits
) -> None:
    run = tiny_run(model={"auxiliary_classifier": False})

    with pytest.raises(ConfigError, match=r"phase1\.shape_epochs is 1, but the shape stream has "):
        check_run(run, replace(tiny_splits, landmark_names=()))


def test_balanced_data_is_refused_before_the_run(tiny_run: MakeRun, tiny_splits: Splits) -> None:
    balanced = replace(tiny_splits, train=other_pictures("train", 4))

    with pytest.raises(ConfigError, match="All 12 classes have 4 training images"):
        check_run(tiny_run(), balanced)


def test_images_too_small_for_the_network_are_refused_before_the_run(
    tiny_run: MakeRun, tiny_splits: Splits
) -> None:
    run = tiny_run(texture_stream={"channels": [4] * 7})

    with pytest.raises(ConfigError, match=r"cannot take images of 24 x 24 pixels: .* Raise data\."):
        check_run(run, tiny_splits)


def test_balanced_data_may_be_trained_without_phase_2(
    tiny_run: MakeRun, tiny_splits: Splits
) -> None:
    balanced = replace(tiny_splits, train=other_pictures("train", 4))

    check_run(tiny_run(rebalancer={"epochs": 0}), balanced)
