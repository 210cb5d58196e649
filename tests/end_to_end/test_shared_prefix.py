"""VGG16 streams from one file of weights: trained over a cache, exported with one prefix."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.models import vgg16

from fdmo_core.config import Run, resolve_run
from fdmo_core.data import open_batches, open_data, some_samples
from fdmo_core.engine import evaluate
from fdmo_core.evaluation import model_predictor, score_images
from fdmo_core.journal import Journal
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.preprocessing import prepare_all
from fdmo_core.randomness import rng_for
from fdmo_core.registry import Registry
from fdmo_core.run_folder import TrainedRun, load_run
from fdmo_core.samples import Splits
from fdmo_core.world import World
from fdmo_export.runtime import OnnxClassifier
from fdmo_export.write import Export, export_run

UNCHANGED = {
    "mirror": False,
    **dict.fromkeys(("rotation", "zoom", "shift", "brightness", "contrast"), 0.0),
}
TrainInto = Callable[..., dict[str, Any]]
# Convolutions: to conv4_3, of conv5, of a conv block, of the landmark head.
NUM_PREFIX, NUM_TAIL, NUM_BLOCK, NUM_HEAD = 10, 3, 2, 4


def write_weights(path: Path) -> None:
    """Write random weights of VGG16's convolutions under torchvision's names."""
    with torch.device("meta"):
        features = vgg16(weights=None, init_weights=False).features
    rng = rng_for(0, "vgg16")
    save_file(
        {
            f"features.{name}": torch.randn(one.shape, generator=rng)
            * (2 / one[0].numel()) ** 0.5
            * (one.dim() > 1)
            for name, one in features.state_dict().items()
        },
        path,
    )


@pytest.fixture(scope="module")
def run(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("prefix")
    write_weights(folder / "vgg16.safetensors")
    stream = {"name": "vgg16", "weights_file": str(folder / "vgg16.safetensors")}
    content = {
        "data": {
            "name": "garments",
            "largest_class": 4,
            "imbalance_ratio": 2,
            "val_per_class": 2,
            "test_per_class": 1,
            "image_size": 32,
        },
        "texture_stream": stream,
        "shape_stream": stream,
        "cache": {"folder": str(folder / "cache"), "views": 1},
        "model": {"feature_ratio": 1},
        "phase1": {"shape_epochs": 0, "epochs": 1},
        "rebalancer": {"name": "adversarial", "epochs": 1, "samples_per_class": 3},
        "generator": {"name": "convexgan", "hidden": [16, 16], "discriminator_hidden": [16, 16]},
        "metrics": {"bootstrap_samples": 100},
    }
    return resolve_run(content, registry)


@pytest.fixture(scope="module")
def splits(run: Run) -> Splits:
    return open_data(run)


@pytest.fixture(scope="module")
def trained(
    run: Run,
    splits: Splits,
    registry: Registry,
    train_into: TrainInto,
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainedRun:
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_into(folder, run, splits)
    return load_run(folder, registry)


@pytest.fixture(scope="module")
def exported(
    trained: TrainedRun, splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> Export:
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    return export_run(trained, splits, path)


def two_streams(trained: TrainedRun) -> TwoStreamClassifier:
    assert isinstance(trained.model, TwoStreamClassifier)
    return trained.model


def test_the_streams_share_all_that_is_frozen(run: Run, trained: TrainedRun) -> None:
    model = two_streams(trained)

    assert model.num_shared_stages == model.texture_extractor.num_frozen_stages == 1 + NUM_PREFIX


def test_training_leaves_the_prefix_and_changes_the_rest(run: Run, trained: TrainedRun) -> None:
    given = load_file(run.texture_stream.config.weights_file)
    names = sorted(
        (name for name in given if name.endswith("weight")),
        key=lambda name: int(name.split(".")[1]),
    )

    model = two_streams(trained)
    for extractor in (model.texture_extractor, model.shape_extractor):
        learned = [one for one in extractor.parameters() if one.dim() == 4]
        kept = [torch.equal(one, given[name]) for one, name in zip(learned, names, strict=True)]
        assert kept == [True] * NUM_PREFIX + [False] * NUM_TAIL


def test_the_cache_holds_the_maps_of_every_split(run: Run, trained: TrainedRun) -> None:
    entries = {one for one in Path(run.core.cache.folder).iterdir() if one.is_dir()}

    layouts = [json.loads((one / "manifest.json").read_text())["layout"] for one in entries]
    assert {one.name.partition("-")[0] for one in entries} == {"train", "val", "test"}
    assert {(one["channels"], one["height"], one["width"]) for one in layouts} == {(512, 2, 2)}


def test_the_graph_holds_the_prefix_once(exported: Export) -> None:
    graph = onnx.load(exported.path).graph

    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == NUM_PREFIX + 2 * (NUM_TAIL + NUM_BLOCK) + NUM_HEAD


def test_the_file_answers_as_the_run_does(
    trained: TrainedRun, splits: Splits, exported: Export
) -> None:
    images = prepare_all(some_samples(splits)[0], 32)

    found = OnnxClassifier(exported.path).run(images.permute(0, 2, 3, 1).numpy())["logits"]

    with torch.no_grad():
        expected = trained.model(trained.model.prefix(images.float() / 255)).logits
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-3)
    assert [one.label_flips for one in exported.parity.network] == [0, 0, 0]


def test_the_metrics_are_of_every_image(trained: TrainedRun) -> None:
    metrics = json.loads((trained.folder / "metrics.json").read_text())

    assert [metrics[name]["after"]["samples"] for name in ("val", "test")] == [24, 12]


def test_maps_in_half_precision_give_the_metrics_of_computed_ones(
    trained: TrainedRun, splits: Splits
) -> None:
    from_cache = json.loads((trained.folder / "metrics.json").read_text())["val"]["after"]
    batches = open_batches(splits, 32, trained.run.core.loading)["val"]

    computed = evaluate(
        {
            "val": score_images(
                batches,
                model_predictor(trained.model, torch.device("cpu")),
                classifier="after",
                journal=Journal(),
                split="val",
            )
        },
        ["after"],
        class_names=trained.class_names,
        train_counts=trained.class_counts,
        config=trained.run.core.metrics,
        seed=trained.run.core.seed,
        world=World(),
    )

    assert trained.run.core.cache.precision == "fp16"
    assert computed["val"]["after"] == from_cache


def test_a_run_from_an_fp32_cache_equals_one_without_a_cache_bit_for_bit(
    run: Run, splits: Splits, registry: Registry, train_into: TrainInto, tmp_path: Path
) -> None:
    for name, folder in (("cached", str(tmp_path / "cache")), ("computed", "")):
        content = run.as_dict()
        content["cache"] |= {"folder": folder, "precision": "fp32"}
        content["augmentation"] = UNCHANGED
        train_into(tmp_path / name, resolve_run(content, registry), splits)

    assert len([one for one in (tmp_path / "cache").iterdir() if one.is_dir()]) == 3
    for file in ("model.safetensors", "dictionary/features.safetensors", "metrics.json"):
        cached, computed = (tmp_path / name / file for name in ("cached", "computed"))
        assert cached.read_bytes() == computed.read_bytes(), file


def test_a_borrowed_phase_1_brings_its_own_prefix(
    run: Run,
    splits: Splits,
    trained: TrainedRun,
    train_into: TrainInto,
    tmp_path: Path,
) -> None:
    weights = Path(run.texture_stream.config.weights_file)
    kept = weights.read_bytes()
    changed = {name: tensor * 1.5 for name, tensor in load_file(weights).items()}
    save_file(changed, weights)
    try:
        metrics = train_into(tmp_path / "borrower", run, splits, phase1_from=trained.folder)
    finally:
        weights.write_bytes(kept)

    theirs = json.loads((trained.folder / "metrics.json").read_text())
    assert metrics["val"]["before"] == theirs["val"]["before"]
