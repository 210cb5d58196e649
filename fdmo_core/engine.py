"""The whole path of a run on one screen: images, phase 1, dictionary, phase 2, metrics, folder."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fdmo_core.checkpoint import Position
from fdmo_core.component_errors import names_components
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.crossfit import cross_fit
from fdmo_core.data import data_notices
from fdmo_core.evaluation import Scored, report_split, score_maps, tally_scored
from fdmo_core.folds import require_no_ensemble
from fdmo_core.health import HealthWatch
from fdmo_core.interfaces import FeatureDictionary
from fdmo_core.journal import Journal
from fdmo_core.lent_phase1 import borrow_phase1
from fdmo_core.map_building import open_maps
from fdmo_core.maps import Maps
from fdmo_core.metrics import MetricsConfig
from fdmo_core.model_building import initial_network
from fdmo_core.network import Network
from fdmo_core.out_of_fold import OutOfFold
from fdmo_core.phase1 import require_epochs, require_shape_target
from fdmo_core.phase2 import (
    build_dictionary,
    empty_dictionary,
    held_out_scores,
    start_phase2,
    train_phase2,
)
from fdmo_core.recorded_phase1 import train_recorded
from fdmo_core.recorder import Recorder
from fdmo_core.samples import Splits
from fdmo_core.world import World


@names_components
def train(
    run: Run,
    splits: Splits,
    model: Network,
    recorder: Recorder,
    *,
    compute: Compute,
    journal: Journal,
    phase1_from: Path | None = None,
) -> dict[str, Any]:
    """Train in the paper's two phases, fill the run folder and return its metrics.

    Source: Fig. 1; Sec. III-B for phase 1, Sec. III-C and Algorithm 1 for phase 2.

    Args:
        run: The configuration.
        splits: The opened data set.
        model: What :func:`check_run` returned; changed in place.
        recorder: Of the run's folder; a phase goes on from the checkpoint that is there.
        compute: Device, precision and processes.
        journal: Told every step.
        phase1_from: Folder of a run whose phase 1 and dictionary are used instead of new ones.

    Returns:
        Metrics by split, then before and after phase 2.
    """
    class_counts = torch.from_numpy(splits.counts("train"))
    model, maps, dictionary, out_of_fold = learn(  # images -> prefix -> features
        run,
        splits,
        model,
        recorder,
        cross_fits=run.cross_fits,
        compute=compute,
        journal=journal,
        phase1_from=phase1_from,
    )
    if out_of_fold is not None and run.core.crossfit.dictionary:
        dictionary = empty_dictionary(run, model, num_classes=model.num_classes)
        dictionary.build(out_of_fold.rows())
    dictionary.to(compute.device)

    rebalancer = start_phase2(
        run,
        classifier=model.main_classifier,
        dictionary=dictionary,
        class_counts=class_counts,
        held_out=partial(
            held_out_scores,
            model=model,
            validation=maps["val"],
            out_of_fold=None if out_of_fold is None else out_of_fold.held_out(),
            compute=compute,
            journal=journal,
            guard=recorder.guard("validation", journal, is_shared=True),
        ),
        device=compute.device,
    )
    for notice in rebalancer.notices:
        journal.notice(notice)
    health = HealthWatch(
        rebalancer,
        dictionary,
        class_names=splits.class_names,
        seed=run.core.seed,
        journal=journal,
    )

    def after_step(position: Position) -> None:
        health.after_step(position.done)
        recorder.after_step("phase2", position, rebalancer, rebalancer.optimizers())

    first_step = recorder.restore("phase2", rebalancer, rebalancer.optimizers(), journal=journal)
    train_phase2(  # Algorithm 1
        rebalancer,
        seed=run.core.seed,
        journal=journal,
        first_step=first_step,
        after_step=after_step,
        guard=recorder.guard("phase2", journal, first_step=first_step),
    )
    recorder.keep_health(health.finish())
    after = rebalancer.classifier
    compute.world.broadcast([*after.parameters(), *after.buffers()])  # GPUs may differ in a bit

    classifiers = {"before": model.main_classifier, "after": after}
    metrics = evaluate(  # Eq. (6)
        {
            name: score_maps(
                maps[name], model, classifiers, compute=compute, journal=journal, split=name
            )
            for name in ("val", "test")
        },
        classifiers,
        class_names=splits.class_names,
        train_counts=splits.counts("train"),
        config=run.core.metrics,
        seed=run.core.seed,
        world=compute.world,
    )
    model.main_classifier = after
    recorder.finish(model, metrics)
    return metrics


class Learned(NamedTuple):
    """What phase 1 leaves behind.

    Attributes:
        network: What is deployed: phase 1's, or the ensemble of it and all fold models.
        maps: Of each split, by name.
        dictionary: Of the network's features of the training split.
        out_of_fold: What fold models say of the training split; None without cross-fitting.
    """

    network: Network
    maps: Mapping[str, Maps]
    dictionary: FeatureDictionary
    out_of_fold: OutOfFold | None


def learn(
    run: Run,
    splits: Splits,
    model: Network,
    recorder: Recorder,
    *,
    cross_fits: bool,
    compute: Compute,
    journal: Journal,
    phase1_from: Path | None,
) -> Learned:
    """Do all that comes before phase 2: maps, phase 1, dictionary, cross-fitting.

    Arguments are those of :func:`train`; ``cross_fits`` says whether fold models are trained.
    """
    for notice in data_notices(splits, mirrors=run.core.augmentation.mirror):
        journal.notice(notice)
    model.to(compute.device)
    dictionary = None if phase1_from is None else borrow_phase1(model, recorder, phase1_from)
    maps = open_maps(run, splits, model, compute=compute, journal=journal)
    train = maps["train"]
    if dictionary is None:
        dictionary = learn_features(run, train, model, recorder, compute=compute, journal=journal)
    if not cross_fits:
        return Learned(model, maps, dictionary, None)
    network, dictionary, out_of_fold = cross_fit(
        run,
        train,
        model,
        dictionary,
        recorder,
        lender=phase1_from,
        compute=compute,
        journal=journal,
    )
    return Learned(network, maps, dictionary, out_of_fold)


def learn_features(
    run: Run,
    maps: Maps,
    model: Network,
    recorder: Recorder,
    *,
    compute: Compute,
    journal: Journal,
) -> FeatureDictionary:
    """Train phase 1 and return the dictionary of its features, both kept in the run folder.

    Source: Sec. III-B; Eq. (2).
    """
    train_recorded(run, maps, model, recorder, compute=compute, journal=journal)
    dictionary = recorder.restore_dictionary(model, journal)
    if dictionary is not None:
        return dictionary
    dictionary = build_dictionary(
        model,
        maps,
        run,
        num_classes=model.num_classes,
        compute=compute,
        journal=journal,
        progress=recorder.dictionary_progress(),
        guard=recorder.guard("dictionary", journal, is_shared=True),
    )
    recorder.keep_dictionary(dictionary)
    return dictionary


@names_components
def check_run(run: Run, splits: Splits) -> Network:
    """Return the network before phase 1, after asking for what would stop the run after hours.

    Raises:
        ConfigError: Phase 1 or phase 2 would have nothing to learn from, initial weights cannot be
            had, or the network cannot take the images.
    """
    if splits.feature_dim:
        require_epochs(run.core.phase1)
        require_no_ensemble(run.core.crossfit)
    else:
        has_target = run.core.model.auxiliary_classifier or bool(splits.landmark_names)
        require_shape_target(run.core.phase1, has_target=has_target)
    class_counts = torch.from_numpy(splits.counts("train"))
    run.rebalancer.component.check_counts(run.rebalancer.config, class_counts)
    return initial_network(run, splits)


def evaluate(
    scored: Mapping[str, Iterable[Scored]],
    classifiers: Iterable[str],
    *,
    class_names: tuple[str, ...],
    train_counts: NDArray[np.int64],
    config: MetricsConfig,
    seed: int,
    world: World,
) -> dict[str, Any]:
    """Return the metrics of each classifier by split; None for a split without images.

    Source: Eq. (6) and Sec. IV-A of the paper.

    Args:
        scored: By name of the split, what classifiers say of this process's share.
        classifiers: Their names.
        class_names: In label order.
        train_counts: Training images per class. Shape ``(C,)``.
        config: Groups and intervals.
        seed: Of the bootstrap.
        world: The processes.
    """
    metrics: dict[str, Any] = {}
    for name, one in scored.items():
        tallies = tally_scored(
            one, classifiers, num_classes=len(class_names), top_k=config.top_k, world=world
        )
        metrics[name] = report_split(
            tallies, class_names=class_names, train_counts=train_counts, config=config, seed=seed
        )
    return metrics
