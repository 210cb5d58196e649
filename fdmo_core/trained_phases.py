"""Takes up what a run's two phases learned, from its folder, without training anything."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from fdmo_core.checkpoint import checkpoint_files, load_checkpoint
from fdmo_core.compute import Compute
from fdmo_core.config import Run, read_toml, resolve_run
from fdmo_core.crossfit import FOLDER as CROSSFIT_FOLDER
from fdmo_core.crossfit import cross_fit
from fdmo_core.data import SPLIT_NAMES, open_data
from fdmo_core.data_exclusion import KeptRows
from fdmo_core.errors import RunFolderError
from fdmo_core.feature_space import FACTS_FILE, FeatureSpace
from fdmo_core.interfaces import FeatureDictionary, LabelledFeatures, Rebalancer
from fdmo_core.journal import Journal
from fdmo_core.lent_phase1 import borrow_phase1, load_phase1
from fdmo_core.manifest import require_intact
from fdmo_core.map_building import open_maps
from fdmo_core.maps import Maps
from fdmo_core.model_building import build_network
from fdmo_core.network import Network
from fdmo_core.out_of_fold import OutOfFold, read_out_of_fold
from fdmo_core.phase2 import (
    empty_dictionary,
    held_out_scores,
    start_phase2,
)
from fdmo_core.recorder import Recorder
from fdmo_core.registry import Registry
from fdmo_core.samples import Split, Splits
from fdmo_core.space_learning import all_rows, classifier_on_cpu, features_of


@dataclass(frozen=True)
class TrainedPhase1:
    """What phase 1 of a run left in its folder.

    Attributes:
        folder: The run folder.
        run: Its configuration.
        splits: The opened data set; the very data that the run was trained on.
        model: Phase 1's network, or the ensemble of it and all fold models, in evaluation mode, on
            the device.
        dictionary: The features that it gives of the training split, on the device.
        out_of_fold: What fold models say of the training images; None where the run has none.
        compute: Device and precision.
    """

    folder: Path
    run: Run
    splits: Splits
    model: Network
    dictionary: FeatureDictionary
    out_of_fold: OutOfFold | None
    compute: Compute

    def maps_of(self, split: str, journal: Journal) -> Maps:
        """Return the maps of one split; no image of another one is read."""
        nothing = KeptRows(self.splits.val, np.arange(0), self.splits.val.labels[:0])
        named: dict[str, Split] = {
            **dict.fromkeys(SPLIT_NAMES, nothing),
            split: self.splits.named()[split],
        }
        only = replace(self.splits, train=named["train"], val=named["val"], test=named["test"])
        maps = open_maps(self.run, only, self.model, compute=self.compute, journal=journal)
        return maps[split]

    def validation_features(self, journal: Journal) -> LabelledFeatures:
        """Return the features of the validation split, which may be empty, on the CPU."""
        maps = self.maps_of("val", journal)
        return features_of(maps, self.model, compute=self.compute, journal=journal)


def open_phase1(
    folder: Path,
    registry: Registry,
    device: torch.device,
    journal: Journal,
    *,
    lender: Path | None = None,
) -> TrainedPhase1:
    """Return what phase 1 of a run learned; whether its phase 2 is done plays no part.

    Args:
        folder: The run folder.
        registry: Where components are found.
        device: Where model and dictionary go.
        journal: Shown the progress, where features of an ensemble are computed again.
        lender: Folder of the run that phase 1 is from, if it is another's.

    Raises:
        RunFolderError: The folder is no run folder, or its phase 1 is not finished or elsewhere.
        ConfigError: The data is not what the run was trained on, or a plugin is missing.
    """
    owner, load = (folder, load_phase1) if lender is None else (lender, borrow_phase1)
    _require_phase1(folder, owner)
    run = read_trained_run(folder, registry)
    splits = open_data(run)
    compute = Compute(device, run.core.compute)
    model = build_network(
        run,
        num_classes=len(splits.class_names),
        num_landmarks=len(splits.landmark_names),
        stream_dims=splits.stream_dims,
    )
    dictionary = load(model, Recorder(folder, run, splits, compute), owner)
    model.to(device)
    phase1 = TrainedPhase1(folder, run, splits, model, dictionary, None, compute)
    if run.cross_fits:
        phase1 = _cross_fitted(phase1, owner, journal)
    phase1.dictionary.to(device)
    phase1.model.eval()
    return phase1


def read_trained_run(folder: Path, registry: Registry) -> Run:
    """Return the configuration of a run folder; what is gone of it raises when it is used."""
    require_intact(folder, "config.toml")
    content = read_toml(folder / "config.toml")
    return resolve_run(content, registry.with_runs(folder), is_trained=True)


def _cross_fitted(phase1: TrainedPhase1, owner: Path, journal: Journal) -> TrainedPhase1:
    """Add what fold models say; of an ensemble also its network and the features that it gives."""
    run, folder = phase1.run, phase1.folder
    home = folder if (folder / CROSSFIT_FOLDER).is_dir() else owner
    require_intact(home, part=CROSSFIT_FOLDER)
    labels = torch.from_numpy(phase1.splits.train.labels)
    found = read_out_of_fold(
        home / CROSSFIT_FOLDER, run.core.crossfit.folds, labels, phase1.dictionary.sources
    )
    if not run.core.crossfit.ensemble:
        return replace(phase1, out_of_fold=found)
    network, dictionary, found = cross_fit(  # every fold is done, so none is trained
        run,
        phase1.maps_of("train", journal),
        phase1.model,
        phase1.dictionary,
        Recorder(home, run, phase1.splits, phase1.compute),
        compute=phase1.compute,
        journal=journal,
    )
    return replace(phase1, model=network, dictionary=dictionary, out_of_fold=found)


def _require_phase1(folder: Path, owner: Path) -> None:
    if not (folder / "config.toml").is_file():
        raise RunFolderError(
            f"{folder} is no run folder: it has no config.toml. Expected a folder that 'fdmo "
            f"train' wrote. Check the path."
        )
    if not (owner / "checkpoints" / "phase1.safetensors").is_file():
        raise RunFolderError(
            f"{owner} holds no phase 1. Expected checkpoints/phase1.safetensors. If the run took "
            f"its phase 1 from another one, name that one with --phase1-from."
        )


@dataclass(frozen=True)
class TrainedPhase2:
    """What phase 2 of a run left in its folder.

    Attributes:
        rebalancer: As it was after its last step.
        dictionary: What it drew from: phase 1's, or one of cross-fitted features.
    """

    rebalancer: Rebalancer
    dictionary: FeatureDictionary


def open_phase2(phase1: TrainedPhase1, journal: Journal) -> TrainedPhase2:
    """Return what phase 2 of the same run learned.

    Raises:
        RunFolderError: Phase 2 is not finished.
    """
    run, crossed = phase1.run, phase1.out_of_fold
    dictionary = phase1.dictionary
    if crossed is not None and run.core.crossfit.dictionary:
        dictionary = empty_dictionary(run, phase1.model, num_classes=phase1.model.num_classes)
        dictionary.build(crossed.rows())
        dictionary.to(phase1.compute.device)
    rebalancer = start_phase2(
        run,
        classifier=phase1.model.main_classifier,
        dictionary=dictionary,
        class_counts=torch.from_numpy(phase1.splits.counts("train")),
        held_out=partial(
            held_out_scores,
            model=phase1.model,
            validation=phase1.maps_of("val", journal),
            out_of_fold=None if crossed is None else crossed.held_out(),
            compute=phase1.compute,
            journal=journal,
        ),
        device=phase1.compute.device,
    )
    _restore_phase2(rebalancer, phase1.folder)
    return TrainedPhase2(rebalancer, dictionary)


def _restore_phase2(rebalancer: Rebalancer, folder: Path) -> None:
    if rebalancer.num_steps == 0:  # then there is no checkpoint either
        return
    file, _ = checkpoint_files(folder / "checkpoints", "phase2")
    position = load_checkpoint(file, module=rebalancer, optimizers={})
    if not position.is_end:
        raise RunFolderError(
            f"Phase 2 of {folder} has {position.done} steps done. Expected all {position.total}. "
            f"Let that run finish first."
        )


def open_space(
    folder: Path,
    registry: Registry,
    device: torch.device,
    journal: Journal,
    *,
    lender: Path | None = None,
) -> tuple[Run, FeatureSpace]:
    """Return a run with its feature space, without the features of the test split.

    Args:
        folder: A run folder, of a finished run or of one that stopped after phase 1.
        registry: Where components are found.
        device: Where features are computed, if they are not kept in the folder.
        journal: Shown the progress.
        lender: Folder of the run that phase 1 is from, if it is another's.

    Raises:
        RunFolderError: As :func:`open_phase1`.
        ConfigError: As :func:`open_phase1`.
    """
    if (folder / "space" / FACTS_FILE).is_file():
        require_intact(folder, part="space")
        space = FeatureSpace.load(folder / "space")
        run = read_trained_run(folder, registry)
        return run, without_test(space)
    phase1 = open_phase1(folder, registry, device, journal, lender=lender)
    validation = phase1.validation_features(journal)
    space = FeatureSpace(
        class_names=phase1.splits.class_names,
        class_counts=torch.from_numpy(phase1.splits.counts("train")),
        stream_dims=phase1.model.stream_dims,
        classifier=classifier_on_cpu(phase1.model.main_classifier),
        train=all_rows(phase1.dictionary),
        splits={"val": validation, "test": _no_features(sum(phase1.model.stream_dims))},
        out_of_fold=None if phase1.out_of_fold is None else phase1.out_of_fold.held_out(),
    )
    return phase1.run, space


def without_test(space: FeatureSpace) -> FeatureSpace:
    """Return the space with an empty test split, for what must not choose by it."""
    return replace(
        space, splits={**space.splits, "test": _no_features(space.train.features.shape[1])}
    )


def _no_features(length: int) -> LabelledFeatures:
    return LabelledFeatures(torch.empty(0, length), torch.empty(0, dtype=torch.int64))
