"""A trained run and its exported file, which the tests of the export share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor

from fdmo_core.config import Run
from fdmo_core.data import some_samples
from fdmo_core.preprocessing import prepare_all
from fdmo_core.registry import Registry
from fdmo_core.run_folder import TrainedRun, load_run
from fdmo_core.samples import Splits
from fdmo_export.contract import DIGEST_KEY
from fdmo_export.graph import DeployedClassifier
from fdmo_export.operation import measure_prior
from fdmo_export.seal import sealed_bytes
from fdmo_export.tracing import trace
from fdmo_export.validation import Scored, score
from fdmo_export.write import Export, deploy, export_run


@pytest.fixture(scope="session")
def trained(
    tiny_run: Callable[..., Run],
    tiny_splits: Splits,
    train_into: Callable[..., dict[str, Any]],
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainedRun:
    """The tiny run, read from its folder; no test changes it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train_into(folder, tiny_run(), tiny_splits)
    return load_run(folder, registry)


@pytest.fixture(scope="session")
def source_prior(trained: TrainedRun) -> Tensor:
    """A prior for its classes that is not even. Shape ``(12,)``."""
    return torch.arange(1.0, 13.0) / 78


@pytest.fixture(scope="session")
def deployed(trained: TrainedRun, source_prior: Tensor) -> DeployedClassifier:
    """Its deployed network, for whole images."""
    return DeployedClassifier(
        trained.model,
        image_size=trained.image_size,
        num_landmarks=len(trained.landmark_names),
        source_prior=source_prior,
    ).eval()


@pytest.fixture(scope="session")
def images(trained: TrainedRun, tiny_splits: Splits) -> Tensor:
    """Images of the run's validation split. Shape ``(21, 3, 24, 24)``, uint8."""
    return prepare_all(some_samples(tiny_splits)[0], trained.image_size)


@pytest.fixture(scope="session")
def exported(
    trained: TrainedRun, tiny_splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> Export:
    """What the export of the run found; its file is alone with its parity.json."""
    return export_run(trained, tiny_splits, tmp_path_factory.mktemp("exported") / "model.onnx")


@pytest.fixture(scope="session")
def onnx_file(exported: Export) -> Path:
    """The exported file; no test changes it."""
    return exported.path


@pytest.fixture
def edited(onnx_file: Path, tmp_path: Path) -> Callable[[Callable[[onnx.ModelProto], None]], Path]:
    """A function that returns a copy of the file with its model changed, and sealed again."""

    def edit(change: Callable[[onnx.ModelProto], None]) -> Path:
        model = onnx.load(onnx_file)
        change(model)
        kept = [one for one in model.metadata_props if one.key != DIGEST_KEY]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
        path = tmp_path / "edited.onnx"
        path.write_bytes(sealed_bytes(model))
        return path

    return edit


@pytest.fixture(scope="session")
def scored(trained: TrainedRun, tiny_splits: Splits) -> Scored:
    """The trained network's scores of the validation images."""
    return score(trained, tiny_splits.val, 1000)


@pytest.fixture(scope="session")
def traced() -> Callable[..., onnx.ModelProto]:
    """A function that returns a run's graph at fp32."""

    def make(trained: TrainedRun, scored: Scored, *, preprocessing: bool = True) -> onnx.ModelProto:
        prior = measure_prior(scored, trained.class_counts)
        module = deploy(trained, prior, preprocessing=preprocessing)
        samples = [scored.sample(index) for index in range(2)]
        inputs = prepare_all(samples, trained.image_size)
        return trace(module, inputs.permute(0, 2, 3, 1) if module.preprocessing else inputs)

    return make


@pytest.fixture(scope="session")
def exact(
    traced: Callable[..., onnx.ModelProto], trained: TrainedRun, scored: Scored
) -> onnx.ModelProto:
    """The tiny run's whole graph at fp32, with preprocessing; no test changes it."""
    return traced(trained, scored)
