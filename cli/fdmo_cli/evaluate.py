"""``fdmo evaluate``: the figures of a trained run, or of an exported file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fdmo_cli.options import DataOption, DeviceOption, JsonOption, SetOption

CLASSIFIER = "after"  # the one after phase 2, the only one that is deployed

TargetArgument = Annotated[Path, typer.Argument(help="A run folder, or an exported ONNX file.")]
SplitOption = Annotated[
    list[str] | None, typer.Option("--split", help="train, val or test; default: val and test.")
]


def evaluate(
    target: TargetArgument,
    data: DataOption = None,
    set_: SetOption = None,
    split: SplitOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Evaluate a run folder or an exported file, by default on the data it was trained on."""
    from fdmo_cli.overrides import require_data_settings
    from fdmo_cli.progress import ProgressBars
    from fdmo_cli.rendering import print_metrics
    from fdmo_cli.session import change_run, choose_device, load_registry
    from fdmo_cli.targets import open_onnx, open_run
    from fdmo_core.component_errors import naming_components
    from fdmo_core.data import open_batches, open_data_for, require_split
    from fdmo_core.engine import evaluate as evaluate_splits
    from fdmo_core.evaluation import score_images
    from fdmo_core.journal import Journal
    from fdmo_core.world import World

    names = tuple(split or ("val", "test"))
    for name in names:
        require_split(name)
    require_data_settings(set_ or ())
    registry = load_registry(target)
    chosen_device = choose_device(device)
    is_file = target.is_file() or (target.suffix == ".onnx" and not target.is_dir())
    trained = open_onnx(target) if is_file else open_run(target, registry, chosen_device)
    run = change_run(trained.config, registry, data=data, settings=set_, is_trained=True)
    splits = open_data_for(run, feature_dim=trained.feature_dim, class_names=trained.class_names)
    batches = open_batches(splits, trained.image_size, run.core.loading)
    with (
        naming_components(run),
        ProgressBars(quiet=as_json) as bars,
        Journal(show=bars.show, say=bars.say) as journal,
    ):
        if splits.digest != trained.data_digest:
            journal.notice("This is not the data of the training run; the figures are of its own.")
        if is_file and device == "cuda":
            journal.notice("An exported file is evaluated on the CPU; --device has no effect.")
        for name in names:
            if not len(splits.named()[name].labels):
                journal.notice(f"Split '{name}' has no image, so there are no figures of it.")
        found = evaluate_splits(
            {
                name: score_images(
                    batches[name],
                    trained.predict,
                    classifier=CLASSIFIER,
                    journal=journal,
                    split=name,
                )
                for name in names
            },
            [CLASSIFIER],
            class_names=trained.class_names,
            train_counts=trained.class_counts,
            config=run.core.metrics,
            seed=run.core.seed,
            world=World(),
        )
    metrics = {name: one and one[CLASSIFIER] for name, one in found.items()}
    if as_json:
        typer.echo(json.dumps(metrics))
    else:
        print_metrics(metrics, title=str(target))
