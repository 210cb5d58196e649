"""Cross-fitting: every training image as a model sees it that was trained without it.

Phase 1 knows its training images by heart: in its features the classes lie further apart than
they do for new images, and a classifier that is fine-tuned on such features learns little. Here K
more networks are trained, each without one part of the images, from the same initial weights and
on the same frozen prefix. Each scores the part that it never saw.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fdmo_core.compute import Compute
from fdmo_core.config import Run, read_toml
from fdmo_core.ensemble import Ensemble
from fdmo_core.errors import RunFolderError
from fdmo_core.files import make_folder, write_tensors
from fdmo_core.folds import assign_folds
from fdmo_core.interfaces import FeatureDictionary
from fdmo_core.journal import Journal
from fdmo_core.manifest import require_intact
from fdmo_core.maps import Maps
from fdmo_core.model_building import network_like
from fdmo_core.network import Network
from fdmo_core.out_of_fold import (
    OutOfFold,
    fold_file,
    is_scored,
    read_out_of_fold,
    score_fold,
)
from fdmo_core.phase2 import build_dictionary
from fdmo_core.prefix import digest_stages
from fdmo_core.randomness import rng_for
from fdmo_core.recorded_phase1 import train_recorded
from fdmo_core.recorder import Recorder
from fdmo_core.world import World

FOLDER = "crossfit"  # in a run folder


class CrossFitted(NamedTuple):
    """What cross-fitting adds to phase 1.

    Attributes:
        network: Phase 1's, or the ensemble of it and all fold models.
        dictionary: Of the network's features of images that it learned from.
        out_of_fold: The training images as networks see them that did not learn from them.
    """

    network: Network
    dictionary: FeatureDictionary
    out_of_fold: OutOfFold


def cross_fit(
    run: Run,
    maps: Maps,
    model: Network,
    dictionary: FeatureDictionary,
    recorder: Recorder,
    *,
    lender: Path | None = None,
    compute: Compute,
    journal: Journal,
) -> CrossFitted:
    """Train the fold models and return what they add; kept in the run folder, fold by fold.

    Processes share the folds, each trains its own alone. A fold that is done is not done again,
    and one that was begun goes on from its checkpoint.

    Source: docs/recommended-method.md; out-of-fold predictions as in stacking (Wolpert 1992), and
    cross-fitting (Chernozhukov et al. 2018).

    Args:
        run: Phase 1 and cross-fitting.
        maps: Of the training split.
        model: What phase 1 trained on all images; it stays as it is, or becomes a member of the
            ensemble.
        dictionary: Of its features; says which images are kept.
        recorder: Of the run's folder.
        lender: Folder of the run that phase 1 is from, if it is another's; the folds are its as
            well, where it has them with the same settings.
        compute: Device, precision and processes.
        journal: Told every step.
    """
    config = run.core.crossfit
    folds = assign_folds(maps.labels, config.folds, rng_for(run.core.seed, "folds"))
    trained_in = recorder.folder
    if lender is not None and _has_trained(lender, run):
        trained_in = lender
    folder = recorder.folder / FOLDER
    if lender is not None and _has_scored(lender, run):
        folder = lender / FOLDER
        require_intact(lender, part=FOLDER)
    make_folder(folder)

    def trained_without(fold: int) -> Network:
        alone = replace(compute, world=World())
        return train_fold(
            run,
            maps.alone(),
            model,
            torch.nonzero(folds != fold).flatten(),
            replace(recorder, folder=trained_in, compute=alone),
            phase=f"fold-{fold}",
            compute=alone,
            journal=journal,
        )

    network, in_sample, trained = model, dictionary, dict[int, Network]()
    if config.ensemble or not is_scored(folder, config.folds):
        trained = {fold: trained_without(fold) for fold in compute.world.share(range(config.folds))}
        compute.world.wait()
    if config.ensemble:  # of all folds; those of other processes are in their checkpoints
        everyone = [
            trained[fold] if fold in trained else trained_without(fold)
            for fold in range(config.folds)
        ]
        network = Ensemble(deepcopy([model, *everyone]))
        in_sample = build_dictionary(
            network,
            maps,
            run,
            num_classes=model.num_classes,
            compute=compute,
            journal=journal,
            progress=recorder.dictionary_progress("ensemble"),
            guard=recorder.guard("ensemble", journal, is_shared=True),
        )
    for fold, fold_model in trained.items():
        if not (folder / fold_file(fold)).exists():
            scored = score_fold(
                fold_model, network, maps.alone(), dictionary.sources, folds == fold, run=run
            )
            write_tensors(folder / fold_file(fold), scored)
    compute.world.wait()
    found = read_out_of_fold(folder, config.folds, maps.labels, dictionary.sources)
    return CrossFitted(network, in_sample, found)


def _has_trained(lender: Path, run: Run) -> bool:
    """Return whether another run's folds are those of this run, and trained to their end."""
    number = run.core.crossfit.folds
    return _theirs(lender).get("folds") == number and is_scored(lender / FOLDER, number)


def _has_scored(lender: Path, run: Run) -> bool:
    """Return whether another run's folds are scored as this run wants it."""
    wanted = run.core.crossfit
    theirs = _theirs(lender)
    same = all(theirs.get(key) == getattr(wanted, key) for key in ("ridge", "ensemble"))
    return same and _has_trained(lender, run)


def _theirs(lender: Path) -> Mapping[str, Any]:
    """Return how another run cross-fits; nothing if it was configured before that was possible."""
    crossfit: Mapping[str, Any] = read_toml(lender / "config.toml").get("crossfit", {})
    return crossfit


def train_fold(
    run: Run,
    maps: Maps,
    model: Network,
    rows: Tensor,
    recorder: Recorder,
    *,
    phase: str,
    compute: Compute,
    journal: Journal,
) -> Network:
    """Return a network like phase 1's, trained on some of the images, or as its checkpoint has it.

    Args:
        run: Phase 1.
        maps: Of the training split, for one process.
        model: What phase 1 trained on all images.
        rows: The images that the network learns from. Shape ``(N',)``, int64.
        recorder: Keeps a checkpoint of each epoch.
        phase: What checkpoint and journal call it.
        compute: Device and precision of one process.
        journal: Told every step.

    Raises:
        RunFolderError: The frozen weights are no longer those that the maps were made with.
    """
    fold_model = network_like(run, model)
    if digest_stages(fold_model.shared_stages) != digest_stages(model.shared_stages):
        raise RunFolderError(
            "The initial weights of the frozen prefix are not those that phase 1 began with. "
            "Expected the same for every fold. Restore the file of initial weights, or train in a "
            "new folder."
        )
    train_recorded(
        run,
        maps,
        fold_model.to(compute.device),
        recorder,
        phase=phase,
        rows=rows,
        compute=compute,
        journal=journal,
    )
    return fold_model
