"""From a run's images to its feature space: phase 1, without phase 2."""

from pathlib import Path

import torch
from torch import Tensor

from fdmo_core.classifier import LinearClassifier, linear_classifier
from fdmo_core.component_errors import names_components
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.data import open_data
from fdmo_core.engine import check_run, learn
from fdmo_core.feature_space import FACTS_FILE, FeatureSpace
from fdmo_core.files import make_folder
from fdmo_core.interfaces import FeatureBatch, FeatureDictionary, LabelledFeatures
from fdmo_core.journal import Journal
from fdmo_core.manifest import list_anew, require_intact
from fdmo_core.maps import Maps
from fdmo_core.network import Network
from fdmo_core.nonfinite import NumberGuard
from fdmo_core.phase2 import extract_features
from fdmo_core.recorder import Recorder
from fdmo_core.run_lock import locked_run


@names_components
def learn_space(
    run: Run,
    folder: Path,
    *,
    compute: Compute,
    journal: Journal,
    out_of_fold: bool = False,
    phase1_from: Path | None = None,
) -> FeatureSpace:
    """Return a run's feature space, from its folder if it is there, or else by phase 1.

    Args:
        run: Data, extractors, phase 1, cross-fitting and dictionary. What it says of phase 2 plays
            no part.
        folder: A run folder; made where it is not there, gone on from where it is.
        compute: Device and precision, of one process.
        journal: Told every step.
        out_of_fold: Whether the training images are cross-fitted as well, which takes the training
            of ``crossfit.folds`` more models.
        phase1_from: Folder of a run whose phase 1 and dictionary are used instead of new ones.
    """
    space_folder = folder / "space"
    if (space_folder / FACTS_FILE).is_file():
        require_intact(folder, part="space")
        space = FeatureSpace.load(space_folder)
        if space.out_of_fold is not None or not out_of_fold:
            return space
    splits = open_data(run)
    model = check_run(run, splits)
    for part in ("checkpoints", "dictionary", "space"):
        make_folder(folder / part)
    with locked_run(folder):
        recorder = Recorder(folder, run, splits, compute)
        recorder.begin("fdmo compare")
        model, maps, dictionary, crossed = learn(
            run,
            splits,
            model,
            recorder,
            cross_fits=out_of_fold or run.core.crossfit.ensemble,
            compute=compute,
            journal=journal,
            phase1_from=phase1_from,
        )
        space = FeatureSpace(
            class_names=splits.class_names,
            class_counts=torch.from_numpy(splits.counts("train")),
            stream_dims=model.stream_dims,
            classifier=classifier_on_cpu(model.main_classifier),
            train=all_rows(dictionary),
            splits={
                name: features_of(
                    maps[name],
                    model,
                    compute=compute,
                    journal=journal,
                    guard=recorder.guard("features", journal, is_shared=True),
                    split=name,
                )
                for name in ("val", "test")
            },
            out_of_fold=None if crossed is None else crossed.held_out(),
        )
        space.save(space_folder)
        list_anew(folder, "space")
    return space


def classifier_on_cpu(classifier: torch.nn.Module) -> LinearClassifier:
    """Return a copy of phase 1's main classifier on the CPU."""
    weight, bias = (classifier.get_parameter(name).cpu() for name in ("weight", "bias"))
    return linear_classifier(weight, bias)


def all_rows(dictionary: FeatureDictionary) -> FeatureBatch:
    """Return all rows of a dictionary as one part, on the CPU."""
    return FeatureBatch(*_joined(list(dictionary.rows())))


def features_of(
    maps: Maps,
    model: Network,
    *,
    compute: Compute,
    journal: Journal,
    guard: NumberGuard | None = None,
    split: str = "train",
) -> LabelledFeatures:
    """Return the features of a split, which may be empty, on the CPU."""
    parts = list(
        extract_features(model, maps, compute=compute, journal=journal, guard=guard, split=split)
    )
    if not parts:
        return LabelledFeatures(torch.empty(0, sum(model.stream_dims)), torch.empty(0).long())
    return LabelledFeatures(*_joined(parts)[:2])


def _joined(parts: list[FeatureBatch]) -> list[Tensor]:
    return [torch.cat(column) for column in zip(*parts, strict=True)]
