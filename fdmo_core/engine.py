"""The whole path of a run on one screen: images, phase 1, dictionary, phase 2, metrics, folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fdmo_core.batches import Batches
from fdmo_core.checkpoint import save_checkpoint
from fdmo_core.config import Run
from fdmo_core.data import data_notices, describe_data, open_batches
from fdmo_core.errors import ConfigError
from fdmo_core.evaluation import Predict, model_predictor, report_split, tally_split
from fdmo_core.files import write_json, write_text
from fdmo_core.journal import Journal
from fdmo_core.metrics import MetricsConfig
from fdmo_core.model_building import build_model
from fdmo_core.phase1 import require_shape_target, start_phase1, train_phase1
from fdmo_core.phase2 import build_dictionary, start_phase2, train_phase2
from fdmo_core.run_folder import describe_environment, save_model
from fdmo_core.samples import Splits


def train(
    run: Run, splits: Splits, out: Path, *, device: torch.device, journal: Journal, command: str
) -> dict[str, Any]:
    """Train in the paper's two phases, fill the run folder and return its metrics.

    Source: Fig. 1; Sec. III-B for phase 1, Sec. III-C and Algorithm 1 for phase 2.

    Args:
        run: The configuration.
        splits: The opened data set.
        out: An empty run folder.
        device: Where to train.
        journal: Told every step.
        command: For ``environment.json``.

    Returns:
        Metrics by split, then before and after phase 2.
    """
    config, checkpoints = run.core, out / "checkpoints"
    write_text(out / "config.toml", run.as_toml())
    write_json(out / "environment.json", describe_environment(run, device=device, command=command))
    write_json(out / "data.json", describe_data(splits))
    for notice in data_notices(splits):
        journal.notice(notice)
    class_counts = torch.from_numpy(splits.counts("train"))

    batches = open_batches(splits, run.data.config.image_size, config.loading)  # images -> Batch
    prepare_images(batches, journal)
    model = build_model(
        run, num_classes=len(class_counts), num_landmarks=len(splits.landmark_names)
    ).to(device)

    phase1 = start_phase1(model, config.phase1)
    train_phase1(
        phase1,
        batches["train"],
        config.phase1,
        augmentation=config.augmentation,
        mirrored_landmarks=splits.mirrored_landmarks,
        seed=config.seed,
        device=device,
        journal=journal,
        after_epoch=lambda done: save_checkpoint(
            checkpoints, "phase1", done=done, module=model, optimizers={"all": phase1.optimizer}
        ),
    )

    dictionary = build_dictionary(  # Eq. (2)
        model,
        batches["train"],
        run,
        num_classes=len(class_counts),
        device=device,
        journal=journal,
    )
    dictionary.save(out / "dictionary")
    sources = [splits.train.source(row) for row in dictionary.sources.tolist()]
    write_json(out / "dictionary" / "sources.json", sources)

    rebalancer = start_phase2(model, dictionary, run, class_counts=class_counts, device=device)
    for notice in rebalancer.notices:
        journal.notice(notice)
    train_phase2(  # Algorithm 1
        rebalancer,
        seed=config.seed,
        journal=journal,
        after_epoch=lambda done: save_checkpoint(
            checkpoints,
            "phase2",
            done=done,
            module=rebalancer,
            optimizers=rebalancer.optimizers(),
        ),
    )

    before, after = model.main_classifier, rebalancer.classifier
    predict = model_predictor(model, {"before": before, "after": after}, device)
    metrics = evaluate(  # Eq. (6)
        predict,
        {name: batches[name] for name in ("val", "test")},
        class_names=splits.class_names,
        train_counts=splits.counts("train"),
        config=config.metrics,
        seed=config.seed,
        journal=journal,
    )
    model.main_classifier = after
    save_model(out, model, run, splits)
    write_json(out / "metrics.json", metrics)
    return metrics


def check_run(run: Run, splits: Splits) -> None:
    """Raise a ConfigError for what would stop the run after hours; asked before it begins."""
    has_target = run.core.model.auxiliary_classifier or bool(splits.landmark_names)
    require_shape_target(run.core.phase1, has_target=has_target)
    class_counts = torch.from_numpy(splits.counts("train"))
    run.rebalancer.component.check_counts(run.rebalancer.config, class_counts)
    model = build_model(
        run, num_classes=len(class_counts), num_landmarks=len(splits.landmark_names)
    )
    size = run.data.config.image_size
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(2, 3, size, size))
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"The network cannot take images of {size} x {size} pixels: {error}. Expected "
            f"extractors that fit data.image_size. Raise data.image_size, or choose fewer stages "
            f"in texture_stream and shape_stream."
        ) from error


def prepare_images(batches: dict[str, Batches], journal: Journal) -> None:
    """Prepare the images of all splits that fit into memory, with progress."""
    kept = [one for one in batches.values() if one.fits_memory and len(one)]
    total, done = sum(map(len, kept)), 0
    for one in kept:
        for count in one.keep():
            done += count
            journal.progress("images", done, total)


def evaluate(
    predict: Predict,
    batches: Mapping[str, Batches],
    *,
    class_names: tuple[str, ...],
    train_counts: NDArray[np.int64],
    config: MetricsConfig,
    seed: int,
    journal: Journal,
) -> dict[str, Any]:
    """Return the metrics of each classifier by split; None for a split without images.

    Source: Eq. (6) and Sec. IV-A of the paper.

    Args:
        predict: From images ``(B, 3, S, S)``, uint8, to logits ``(B, C)`` by classifier.
        batches: By name of the split.
        class_names: In label order.
        train_counts: Training images per class. Shape ``(C,)``.
        config: Groups and intervals.
        seed: Of the bootstrap.
        journal: Shown the progress.
    """
    metrics: dict[str, Any] = {}
    for name, one in batches.items():
        tallies = tally_split(
            predict,
            one,
            num_classes=len(class_names),
            top_k=config.top_k,
            journal=journal,
            split=name,
        )
        metrics[name] = report_split(
            tallies, class_names=class_names, train_counts=train_counts, config=config, seed=seed
        )
    return metrics
