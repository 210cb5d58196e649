"""Takes up what a run's two phases learned, from its folder, without training anything."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fdmo_core.checkpoint import load_checkpoint
from fdmo_core.classifier import LinearClassifier
from fdmo_core.compute import Compute
from fdmo_core.config import Run, read_toml, resolve_run
from fdmo_core.data import open_data
from fdmo_core.data_exclusion import KeptRows
from fdmo_core.errors import RunFolderError
from fdmo_core.feature_space import FACTS_FILE, FeatureSpace
from fdmo_core.interfaces import FeatureBatch, FeatureDictionary, LabelledFeatures, Rebalancer
from fdmo_core.journal import Journal
from fdmo_core.map_building import open_maps
from fdmo_core.maps import Maps
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.model_building import build_model
from fdmo_core.phase2 import extract_features, held_out_scores, start_phase2
from fdmo_core.recorder import Recorder, borrow_phase1
from fdmo_core.registry import Registry
from fdmo_core.samples import Splits


@dataclass(frozen=True)
class TrainedPhase1:
    """What phase 1 of a run left in its folder.

    Attributes:
        folder: The run folder.
        run: Its configuration.
        splits: The opened data set; the very data that the run was trained on.
        model: With phase 1's classifiers, in evaluation mode, on the device.
        dictionary: Real features of the training split, on the device.
        compute: Device and precision.
    """

    folder: Path
    run: Run
    splits: Splits
    model: TwoStreamClassifier
    dictionary: FeatureDictionary
    compute: Compute

    def validation_maps(self, journal: Journal) -> Maps:
        """Return the maps of the validation split; no image of another split is read."""
        nothing = KeptRows(self.splits.val, np.arange(0), self.splits.val.labels[:0])
        only_val = replace(self.splits, train=nothing, test=nothing)
        maps = open_maps(self.run, only_val, self.model, compute=self.compute, journal=journal)
        return maps["val"]

    def validation_features(self, journal: Journal) -> LabelledFeatures:
        """Return the features of the validation split, which may be empty, on the CPU."""
        maps = self.validation_maps(journal)
        parts = list(extract_features(self.model, maps, compute=self.compute, journal=journal))
        if not parts:
            return _no_features(sum(self.model.stream_dims))
        return LabelledFeatures(*_joined(parts)[:2])


def open_phase1(folder: Path, registry: Registry, device: torch.device) -> TrainedPhase1:
    """Return what phase 1 of a run learned; whether its phase 2 is done plays no part.

    Raises:
        RunFolderError: The folder is no run folder, or its phase 1 is not finished.
        ConfigError: The data is not what the run was trained on, or a plugin is missing.
    """
    if not (folder / "config.toml").is_file():
        raise RunFolderError(
            f"{folder} is no run folder: it has no config.toml. Expected a folder that 'fdmo "
            f"train' wrote. Check the path."
        )
    run = resolve_run(read_toml(folder / "config.toml"), registry)
    splits = open_data(run)
    compute = Compute(device, run.core.compute)
    model = build_model(
        run, num_classes=len(splits.class_names), num_landmarks=len(splits.landmark_names)
    )
    dictionary = borrow_phase1(model, Recorder(folder, run, splits, compute), folder)
    dictionary.to(device)
    return TrainedPhase1(folder, run, splits, model.to(device).eval(), dictionary, compute)


def open_phase2(phase1: TrainedPhase1, journal: Journal) -> Rebalancer:
    """Return the rebalancer of the same run as it was after its last step.

    Raises:
        RunFolderError: Phase 2 is not finished.
    """
    run, compute = phase1.run, phase1.compute
    rebalancer = start_phase2(
        run,
        classifier=phase1.model.main_classifier,
        dictionary=phase1.dictionary,
        class_counts=torch.from_numpy(phase1.splits.counts("train")),
        held_out=partial(
            held_out_scores,
            model=phase1.model,
            maps=phase1.validation_maps(journal),
            compute=compute,
            journal=journal,
        ),
        device=compute.device,
    )
    if rebalancer.num_steps == 0:  # then there is no checkpoint either
        return rebalancer
    checkpoints = phase1.folder / "checkpoints"
    done = load_checkpoint(checkpoints, "phase2", module=rebalancer, optimizers={})
    if done != rebalancer.num_steps:
        raise RunFolderError(
            f"Phase 2 of {phase1.folder} has {done} steps done. Expected all "
            f"{rebalancer.num_steps}. Let that run finish first."
        )
    return rebalancer


def open_space(
    folder: Path, registry: Registry, device: torch.device, journal: Journal
) -> tuple[Run, FeatureSpace]:
    """Return a run with its feature space, without the features of the test split.

    Args:
        folder: A run folder, of a finished run or of one that stopped after phase 1.
        registry: Where components are found.
        device: Where features are computed, if they are not kept in the folder.
        journal: Shown the progress.

    Raises:
        RunFolderError: As :func:`open_phase1`.
        ConfigError: As :func:`open_phase1`.
    """
    if (folder / "space" / FACTS_FILE).is_file():
        space = FeatureSpace.load(folder / "space")
        run = resolve_run(read_toml(folder / "config.toml"), registry)
        return run, without_test(space)
    phase1 = open_phase1(folder, registry, device)
    validation = phase1.validation_features(journal)
    space = FeatureSpace(
        class_names=phase1.splits.class_names,
        class_counts=torch.from_numpy(phase1.splits.counts("train")),
        stream_dims=phase1.model.stream_dims,
        classifier=_copied(phase1.model.main_classifier),
        train=FeatureBatch(*_joined(list(phase1.dictionary.rows()))),
        splits={"val": validation, "test": _no_features(sum(phase1.model.stream_dims))},
    )
    return phase1.run, space


def without_test(space: FeatureSpace) -> FeatureSpace:
    """Return the space with an empty test split, for what must not choose by it."""
    return replace(
        space, splits={**space.splits, "test": _no_features(space.train.features.shape[1])}
    )


def _no_features(length: int) -> LabelledFeatures:
    return LabelledFeatures(torch.empty(0, length), torch.empty(0, dtype=torch.int64))


def _copied(classifier: torch.nn.Module) -> LinearClassifier:
    weight = classifier.get_parameter("weight")
    copied = LinearClassifier(weight.shape[1], weight.shape[0])
    copied.load_state_dict(classifier.state_dict())
    return copied


def _joined(parts: list[FeatureBatch]) -> list[Tensor]:
    return [torch.cat(column) for column in zip(*parts, strict=True)]
