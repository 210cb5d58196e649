"""What is done in a worker process: one phase 1, or one method with one seed on its features."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fdmo_core.comparison.calibration import expected_calibration_error
from fdmo_core.compute import Compute
from fdmo_core.config import Run, resolve_run
from fdmo_core.data import open_data
from fdmo_core.engine import evaluate
from fdmo_core.evaluation import Scored
from fdmo_core.experiments import require_same_data
from fdmo_core.feature_space import ROWS_A_PART, FeatureSpace
from fdmo_core.files import make_folder, write_json, write_tensors, write_text
from fdmo_core.interfaces import LabelledFeatures
from fdmo_core.journal import Journal
from fdmo_core.json_files import read_json
from fdmo_core.manifest import ENVIRONMENT_FILE
from fdmo_core.phase2 import rebalance
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry
from fdmo_core.run_folder import describe_environment
from fdmo_core.samples import Splits
from fdmo_core.space_learning import learn_space
from fdmo_core.world import World

PREDICTIONS_FILE = "predictions.safetensors"
TEST_FILE = "test.json"  # beside a feature space: which images it is tested on


@dataclass(frozen=True)
class SpaceJob:
    """One phase 1, as plain data.

    Attributes:
        content: The configuration.
        folder: Its run folder.
        device: Name of the device.
        out_of_fold: Whether to cross-fit as well.
        phase1_from: Run folder whose phase 1 is used, if any.
    """

    content: Mapping[str, Any]
    folder: Path
    device: str
    out_of_fold: bool
    phase1_from: Path | None


@dataclass(frozen=True)
class CellJob:
    """One method with one seed, as plain data.

    Attributes:
        content: The configuration.
        folder: Of the cell.
        space: Run folder of the phase 1 that it starts from.
        device: Name of the device.
    """

    content: Mapping[str, Any]
    folder: Path
    space: Path
    device: str


@cache
def registry() -> Registry:
    """Return the components that are installed, loaded once in each process."""
    return Registry(load_plugins())


def learn(job: SpaceJob) -> None:
    """Train a phase 1, or go on with it, and keep its features."""
    run = resolve_run(job.content, registry())
    splits = open_data(run)
    require_same_data(job.folder, splits)
    make_folder(job.folder)
    with Journal(job.folder / "log.jsonl") as journal:
        learn_space(
            run,
            job.folder,
            compute=Compute(torch.device(job.device), run.core.compute),
            journal=journal,
            out_of_fold=job.out_of_fold,
            phase1_from=job.phase1_from,
        )
    found = {"digest": _digest_of(splits), "out_of_fold": job.out_of_fold}
    write_json(job.folder / TEST_FILE, found)


def is_learned(folder: Path, *, out_of_fold: bool) -> bool:
    """Return whether :func:`learn` came to its end there, cross-fitting included if asked for."""
    file = folder / TEST_FILE
    if not file.is_file():
        return False
    return not out_of_fold or bool(read_json(file)["out_of_fold"])


def digest_of_test(folder: Path) -> str:
    """Return what tells the test images of one phase 1 from those of another."""
    return str(read_json(folder / TEST_FILE)["digest"])


def _digest_of(splits: Splits) -> str:
    """Return what tells two test splits apart: names, labels and some images."""
    digest = hashlib.blake2b(digest_size=16)
    split = splits.test
    digest.update("\n".join(split.source(row) for row in range(len(split.labels))).encode())
    digest.update(np.ascontiguousarray(split.labels).tobytes())
    for row in np.linspace(0, len(split.labels) - 1, min(21, len(split.labels))).astype(int):
        digest.update(np.ascontiguousarray(split[int(row)].image).tobytes())
    return digest.hexdigest()


def run_cell(job: CellJob) -> None:
    """Do phase 2 of a method, evaluate it, and write the cell's files, ``metrics.json`` last."""
    run = resolve_run(job.content, registry())
    space = FeatureSpace.load(job.space / "space")
    make_folder(job.folder)
    write_text(job.folder / "config.toml", run.as_toml())
    environment = describe_environment(
        run, Compute(torch.device(job.device)), command="fdmo compare"
    )
    write_json(job.folder / ENVIRONMENT_FILE, environment)
    started = time.perf_counter()
    rebalancer = rebalance(run, space, device=torch.device(job.device), journal=Journal())
    seconds = time.perf_counter() - started
    scores = {
        name: list(score(split, rebalancer.classifier, torch.device(job.device)))
        for name, split in space.splits.items()
    }
    metrics = measure(scores, space, run)
    tensors: dict[str, Tensor] = {}
    errors: dict[str, float] = {}
    for name, parts in scores.items():
        predictions = _predictions(parts)
        tensors |= {f"{name}.{key}": one for key, one in predictions.items()}
        if parts:
            errors[name] = _calibration(predictions)
    write_tensors(job.folder / PREDICTIONS_FILE, tensors)
    for name, report in metrics.items():
        if report is not None:
            report["after"]["ece"] = errors[name]
    extra = {"steps": rebalancer.num_steps, "seconds": round(seconds, 3)}
    write_json(job.folder / "metrics.json", {**metrics, **extra})


@torch.no_grad()
def score(split: LabelledFeatures, classifier: nn.Module, device: torch.device) -> Iterator[Scored]:
    """Yield what a classifier says of a split's features, in parts of bounded size."""
    columns = (split.features, split.labels)
    for features, labels in zip(*(one.split(ROWS_A_PART) for one in columns), strict=True):
        if len(labels):
            yield Scored({"after": classifier(features.to(device)).float().cpu()}, labels)


def measure(scores: Mapping[str, list[Scored]], space: FeatureSpace, run: Run) -> dict[str, Any]:
    """Return the metrics by split, as ``metrics.json`` of a run holds them after phase 2."""
    return evaluate(
        scores,
        ["after"],
        class_names=space.class_names,
        train_counts=space.class_counts.numpy(),
        config=run.core.metrics,
        seed=run.core.seed,
        world=World(),
    )


def _predictions(parts: list[Scored]) -> dict[str, Tensor]:
    """Return predicted classes (N,), their probabilities (N,) and true classes (N,) of a split."""
    if not parts:
        nothing = torch.empty(0)
        return {"predictions": nothing.int(), "confidences": nothing, "labels": nothing.int()}
    best = [one.logits["after"].softmax(dim=1).max(dim=1) for one in parts]
    return {
        "predictions": torch.cat([one.indices for one in best]).int(),
        "confidences": torch.cat([one.values for one in best]),
        "labels": torch.cat([one.labels for one in parts]).int(),
    }


def _calibration(predictions: Mapping[str, Tensor]) -> float:
    correct = predictions["predictions"] == predictions["labels"]
    return expected_calibration_error(predictions["confidences"].numpy(), correct.numpy())
