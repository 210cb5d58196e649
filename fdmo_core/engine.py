"""The whole path of a run on one screen: images, phase 1, dictionary, phase 2, metrics, folder."""

from pathlib import Path
from typing import Any

import torch

from fdmo_core.batches import Batches
from fdmo_core.checkpoint import save_checkpoint
from fdmo_core.config import Run
from fdmo_core.data import data_notices, describe_data, open_batches
from fdmo_core.evaluation import Predict, model_predictor, report_split, tally_split
from fdmo_core.files import write_json, write_text
from fdmo_core.journal import Journal
from fdmo_core.model_building import build_model
from fdmo_core.phase1 import start_phase1, train_phase1
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
    run.rebalancer.component.check_counts(run.rebalancer.config, class_counts)

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
    metrics = evaluate(predict, batches, splits, run, journal, names=("val", "test"))  # Eq. (6)
    model.main_classifier = after
    save_model(out, model, run, splits)
    write_json(out / "metrics.json", metrics)
    return metrics


def prepare_images(batches: dict[str, Batches], journal: Journal) -> None:
    """Prepare the images of all splits that fit into memory, with progress."""
    kept = {name: one for name, one in batches.items() if one.fits_memory and len(one)}
    total, done = sum(map(len, kept.values())), 0
    for one in kept.values():
        start = done
        for count in one.keep():
            done += count
            journal.progress("images", done, total)
        done = start + len(one)


def evaluate(
    predict: Predict,
    batches: dict[str, Batches],
    splits: Splits,
    run: Run,
    journal: Journal,
    *,
    names: tuple[str, ...],
) -> dict[str, Any]:
    """Return the metrics of each classifier on the named splits; a split without images is None.

    Source: Eq. (6) and Sec. IV-A of the paper.
    """
    metrics: dict[str, Any] = {}
    for name in names:
        tallies = tally_split(
            predict,
            batches[name],
            num_classes=len(splits.class_names),
            top_k=run.core.metrics.top_k,
            journal=journal,
            split=name,
        )
        metrics[name] = (
            report_split(
                tallies,
                class_names=splits.class_names,
                train_counts=splits.counts("train"),
                config=run.core.metrics,
                seed=run.core.seed,
            )
            if len(batches[name])
            else None
        )
    return metrics
