"""A run's generator and dictionary as files, and what they say of themselves."""

import hashlib
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from fdmo_core.config import Run, resolve_run
from fdmo_core.errors import ExportError
from fdmo_core.imbalance import generation_probabilities
from fdmo_core.journal import Journal
from fdmo_core.registry import Registry
from fdmo_core.samples import Splits
from fdmo_core.trained_phases import TrainedPhase1, TrainedPhase2, open_phase1, open_phase2
from fdmo_export.contract import GENERATOR_KEY, OPSET
from fdmo_export.generator_graph import DeployedGenerator
from fdmo_export.generator_part import (
    DICTIONARY_FILE,
    GENERATOR_FILE,
    PARITY_FILE,
    GeneratorExport,
    export_generator,
    generator_of,
    require_size,
    write_generator,
)
from fdmo_export.seal import require_seal
from fdmo_plugins.convexgan.generator import ConvexGan, ConvexGanConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(
    tiny_run: Callable[..., Run],
    tiny_splits: Splits,
    train_into: Callable[..., dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    train_into(out, tiny_run(), tiny_splits)
    return out


@pytest.fixture(scope="module")
def phase1(folder: Path, registry: Registry) -> TrainedPhase1:
    return open_phase1(folder, registry, CPU, Journal())


@pytest.fixture(scope="module")
def phase2(phase1: TrainedPhase1) -> TrainedPhase2:
    return open_phase2(phase1, Journal())


@pytest.fixture(scope="module")
def report(
    folder: Path, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> GeneratorExport:
    out = tmp_path_factory.mktemp("exported") / "new" / "folder"
    return export_generator(folder, registry, out, journal=Journal())


@pytest.fixture(scope="module")
def model(report: GeneratorExport) -> onnx.ModelProto:
    return onnx.load(report.generator, load_external_data=False)


@pytest.fixture(scope="module")
def metadata(model: onnx.ModelProto) -> dict[str, Any]:
    entries = {one.key: one.value for one in model.metadata_props}
    found: dict[str, Any] = json.loads(entries[GENERATOR_KEY])
    return found


def test_three_files_are_written_and_nothing_else(report: GeneratorExport) -> None:
    names = sorted(path.name for path in report.generator.parent.iterdir())

    assert names == sorted([GENERATOR_FILE, DICTIONARY_FILE, PARITY_FILE])
    assert json.loads((report.generator.parent / PARITY_FILE).read_text()) == report.as_dict()


def test_batches_of_real_rows_were_compared(report: GeneratorExport) -> None:
    assert [(one.batch_size, one.samples) for one in report.parity] == [(1, 5), (3, 5), (17, 5)]
    assert all(one.agrees for one in report.parity)
    assert all(set(one.differences) == {"features", "weights"} for one in report.parity)


def test_the_file_is_valid_sealed_and_of_the_documented_operator_set(
    report: GeneratorExport, model: onnx.ModelProto
) -> None:
    onnx.checker.check_model(model, full_check=True)
    require_seal(report.generator.read_bytes(), "the file")

    assert [one.version for one in model.opset_import if one.domain == ""] == [OPSET]


def test_the_file_says_what_a_trainer_needs_to_know(
    metadata: dict[str, Any], phase1: TrainedPhase1, phase2: TrainedPhase2
) -> None:
    counts = torch.from_numpy(phase1.splits.counts("train"))
    config = phase1.run.as_dict()
    text = json.dumps(config, sort_keys=True, ensure_ascii=False)

    assert metadata == {
        "format": 1,
        "fdmo": version("fdmo"),
        "class_names": list(phase1.splits.class_names),
        "class_counts": counts.tolist(),
        "dictionary_rows": phase2.dictionary.class_sizes.tolist(),
        "chances": pytest.approx(generation_probabilities(counts).tolist()),
        "stream_dims": list(phase1.model.stream_dims),
        "noise_dim": 8,
        "samples_per_class": 5,
        "any_number_of_samples": False,
        "data_digest": phase1.splits.digest,
        "config_digest": hashlib.sha256(text.encode()).hexdigest(),
        "config": config["generator"],
    }
    assert metadata["chances"][int(counts.argmax())] == 0


def test_the_dictionary_comes_back_as_it_was(
    report: GeneratorExport, phase1: TrainedPhase1, phase2: TrainedPhase2
) -> None:
    found = np.load(report.dictionary, allow_pickle=False)

    features, labels = phase2.dictionary.store
    assert set(found) == {"features", "labels", "sources", "class_names"}
    np.testing.assert_array_equal(found["features"], features.numpy())
    np.testing.assert_array_equal(found["labels"], labels.numpy())
    np.testing.assert_array_equal(found["sources"], phase2.dictionary.sources.numpy())
    assert found["class_names"].tolist() == list(phase1.splits.class_names)
    assert (found["features"].dtype, found["labels"].dtype) == (np.float32, np.int64)
    labels_of_sources = phase1.splits.train.labels[found["sources"]]
    np.testing.assert_array_equal(labels_of_sources, found["labels"])


def test_a_second_export_writes_the_same_bytes_over_what_may_be_replaced(
    report: GeneratorExport, folder: Path, registry: Registry, tmp_path: Path
) -> None:
    for name in (GENERATOR_FILE, DICTIONARY_FILE, PARITY_FILE):
        (tmp_path / name).write_text("old")

    again = export_generator(folder, registry, tmp_path, journal=Journal(), overwrite=True)

    assert again.generator.read_bytes() == report.generator.read_bytes()
    assert again.dictionary.read_bytes() == report.dictionary.read_bytes()
    assert json.loads((tmp_path / PARITY_FILE).read_text()) == report.as_dict()


def test_a_sets_width_that_is_free_is_compared_too(
    folder: Path,
    tiny_run: Callable[..., Run],
    tiny_splits: Splits,
    train_into: Callable[..., dict[str, Any]],
    registry: Registry,
    tmp_path: Path,
) -> None:
    mean = resolve_run({"generator": {"name": "mean"}}, registry).generator
    run = replace(tiny_run(), generator=mean)
    train_into(tmp_path / "run", run, tiny_splits, phase1_from=folder)

    report = export_generator(
        tmp_path / "run", registry, tmp_path / "out", journal=Journal(), lender=folder
    )

    found = [(one.batch_size, one.samples) for one in report.parity]
    assert found == [(1, 5), (3, 5), (17, 5), (17, 6)]


@pytest.mark.parametrize("name", [GENERATOR_FILE, DICTIONARY_FILE])
def test_a_file_that_is_there_is_left_alone(
    folder: Path, registry: Registry, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")

    with pytest.raises(ExportError) as caught:
        export_generator(folder, registry, tmp_path, journal=Journal())

    assert str(caught.value) == (
        f"{tmp_path / name} is there already. Expected a folder without it. Choose another one "
        f"with --out, or replace it with --overwrite."
    )
    assert (tmp_path / name).read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_run_that_made_no_artificial_features_is_refused(
    folder: Path,
    tiny_run: Callable[..., Run],
    tiny_splits: Splits,
    train_into: Callable[..., dict[str, Any]],
    registry: Registry,
    tmp_path: Path,
) -> None:
    run = tiny_run(rebalancer={"artificial": False})
    train_into(tmp_path / "run", run, tiny_splits, phase1_from=folder)

    with pytest.raises(ExportError) as caught:
        export_generator(
            tmp_path / "run", registry, tmp_path / "out", journal=Journal(), lender=folder
        )

    assert str(caught.value) == (
        "Rebalancer 'adversarial' has 0 generators. Expected one that trained on artificial "
        "features, such as 'adversarial' with rebalancer.artificial = true. Train phase 2 with it "
        "from the same phase 1: fdmo train --phase1-from RUN."
    )
    assert not (tmp_path / "out").exists()


def test_a_file_that_disagrees_with_the_generator_is_not_written(
    phase1: TrainedPhase1, phase2: TrainedPhase2, tmp_path: Path
) -> None:
    broken = replace(phase2, rebalancer=deepcopy(phase2.rebalancer))
    with torch.no_grad():
        generator_of(broken.rebalancer).get_parameter("network.last.bias").fill_(float("nan"))

    with pytest.raises(ExportError) as caught:
        write_generator(tmp_path / "generator.onnx", phase1, broken)

    lines = str(caught.value).splitlines()
    assert lines[0] == "The exported file disagrees with the trained generator:"
    assert lines[1] == "  batch of 1 with 5 drawn: features nan, weights nan"
    assert lines[-1] == (
        "Expected differences of at most 1e-04. Nothing was written; report this with the run's "
        "environment.json."
    )
    assert not list(tmp_path.iterdir())


def test_weights_beyond_what_one_file_can_hold_are_refused_before_they_are_written() -> None:
    with torch.device("meta"):
        large = ConvexGan(
            ConvexGanConfig(weights="per-feature"),
            num_classes=46,
            stream_dims=(2048, 2048),
            samples_per_class=200,
        )

    with pytest.raises(ExportError) as caught:
        require_size(DeployedGenerator(large))

    assert str(caught.value) == (
        "The generator has 3.15 GiB of weights. Expected less than 2 GiB, the most that one ONNX "
        "file can hold. Train with a smaller rebalancer.samples_per_class."
    )
