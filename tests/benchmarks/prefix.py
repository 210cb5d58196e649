"""The frozen prefix: computed once for both streams, or read from a cache, against both in full.

VGG16 streams at 224 pixels with random weights, batch 8, with the heads of a run on DeepFashion
(46 classes, 8 landmarks) on both sides. A limit is the ratio of counted operations.
"""

import tempfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import torch
from measure import Benchmark, seconds_in_turn
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from fdmo_core.compute import Compute
from fdmo_core.config import Run, resolve_run
from fdmo_core.map_store import MapStore, StoreLayout
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.model_building import build_model
from fdmo_core.phase1 import phase1_losses, start_phase1
from fdmo_core.phase1_network import phase1_network
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.randomness import rng_for
from fdmo_core.registry import Registry

BATCH, SIDE, CLASSES, LANDMARKS = 8, 224, 46, 8
ROUNDS = 3
CACHED_ROWS = 1024
READ_BATCH = 256

Action = Callable[[], object]


def configuration() -> Run:
    """Return a run with two VGG16 streams."""
    stream = {"name": "vgg16", "weights": "none"}
    content = {"texture_stream": stream, "shape_stream": stream, "data": {"image_size": SIDE}}
    return resolve_run(content, Registry(load_plugins()))


def networks(run: Run) -> tuple[TwoStreamClassifier, TwoStreamClassifier]:
    """Return one network twice: its streams share their prefix, and not."""
    plain = build_model(run, num_classes=CLASSES, num_landmarks=LANDMARKS)
    plain.shape_extractor.load_state_dict(plain.texture_extractor.state_dict())
    shared = deepcopy(plain)
    shared.share_prefix()
    return shared, plain


def training_step(
    model: TwoStreamClassifier, run: Run, read: Callable[[], Tensor]
) -> Callable[[], object]:
    """Return a step of phase 1 of the whole network, from what is read to the new weights."""
    compute = Compute(torch.device("cpu"))
    state = start_phase1(model.train(), run.core.phase1, compute)
    network = phase1_network(model, compute, is_shape_only=False)
    labels = torch.randint(CLASSES, (BATCH,), generator=rng_for(0, "labels"))
    landmarks = torch.rand(BATCH, LANDMARKS, 3, generator=rng_for(0, "landmarks")) * SIDE

    def step() -> None:
        losses = phase1_losses(
            network(read()),
            labels,
            landmarks,
            model.landmark_head,
            run.core.phase1,
            log_prior=torch.zeros(CLASSES),
        )
        state.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        state.optimizer.step()

    return step


def operations(action: Action) -> int:
    """Return the floating-point operations that PyTorch counts in an action."""
    with FlopCounterMode(display=False) as counter:
        action()
    total: int = counter.get_total_flops()
    return total


def store_of(folder: Path, maps: Tensor, rows: int) -> MapStore:
    """Return a store that holds the maps again and again."""
    _, channels, height, width = maps.shape
    layout = StoreLayout(rows, channels, height, width, 0, "fp16")
    store = MapStore.create(folder, layout)
    for start in range(0, rows, len(maps)):
        store.write(start, maps, torch.zeros(len(maps), 0, 3))
    store.flush()
    return MapStore(folder, layout)


def line(name: str, ours: Action, plain: Action) -> Benchmark:
    """Return the measured line with its limit."""
    limit = operations(plain) / operations(ours)
    return Benchmark(name, *seconds_in_turn(ours, plain, rounds=ROUNDS), "s", limit)


def benchmarks() -> list[Benchmark]:
    """Return the lines of all three ways."""
    run = configuration()
    shared, plain = networks(run)
    images = torch.rand(BATCH, 3, SIDE, SIDE, generator=rng_for(0, "images"))

    @torch.no_grad()
    def through_prefix() -> Tensor:
        return shared.prefix(images)

    @torch.no_grad()
    def features(model: TwoStreamClassifier) -> Tensor:
        return model.eval().extract(model.prefix(images))

    lines = [line("forward-shared", lambda: features(shared), lambda: features(plain))]
    in_full = training_step(plain, run, lambda: images)
    lines.append(line("phase1-shared", training_step(shared, run, through_prefix), in_full))
    with tempfile.TemporaryDirectory() as name:
        store = store_of(Path(name) / "maps", through_prefix(), CACHED_ROWS)
        rows = torch.randint(CACHED_ROWS, (BATCH,), generator=rng_for(0, "rows"))
        cached = training_step(shared, run, lambda: store.read(rows)[0])
        lines.append(line("phase1-cached", cached, in_full))
        lines.append(_reading(store))
    return lines


def _reading(store: MapStore) -> Benchmark:
    """Return how long an image takes from the page cache, beside copying its bytes twice."""
    order = torch.randperm(CACHED_ROWS, generator=rng_for(0, "order")).split(READ_BATCH)
    block = torch.zeros(READ_BATCH, store.layout.row_bytes // 2, dtype=torch.float16)

    def read() -> None:
        for rows in order:
            store.read(rows)

    def copy() -> None:
        for _ in order:
            block.clone().float()

    ours, baseline = seconds_in_turn(read, copy, rounds=ROUNDS)
    per_image = ours / CACHED_ROWS, baseline / CACHED_ROWS
    return Benchmark("cache-read", *per_image, "s/image")
