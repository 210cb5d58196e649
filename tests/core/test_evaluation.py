from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fdmo_core.augmentation import AugmentationConfig
from fdmo_core.batches import Batches, LoadingConfig, scale_pixels
from fdmo_core.classifier import LinearClassifier
from fdmo_core.compute import Compute, ComputeConfig
from fdmo_core.config import Run
from fdmo_core.confusion import Tally
from fdmo_core.evaluation import (
    EVALUATE_BATCH,
    Scored,
    model_predictor,
    report_split,
    score_images,
    score_maps,
    tally_scored,
)
from fdmo_core.journal import Journal, Progress
from fdmo_core.maps import LiveMaps
from fdmo_core.metrics import MetricsConfig
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.model_building import build_model
from fdmo_core.randomness import rng_for
from fdmo_core.samples import Sample
from fdmo_core.world import World, joined_world

InProcesses = Callable[..., list[Any]]
CPU = torch.device("cpu")
NAMES = ("a", "b", "c")


class GreySplit:
    """Images of one grey value each, which is their number modulo 256."""

    def __init__(self, count: int) -> None:
        self._labels = np.arange(count, dtype=np.int64) % 3

    @property
    def labels(self) -> NDArray[np.int64]:
        return self._labels

    def __getitem__(self, index: int) -> Sample:
        image = np.full((16, 16, 3), index % 256, dtype=np.uint8)
        return Sample(image, int(self._labels[index]))

    def source(self, index: int) -> str:
        return f"grey/{index}"


def grey_batches(count: int) -> Batches:
    return Batches(GreySplit(count), image_size=16, config=LoadingConfig())


def modulo(images: Tensor) -> Tensor:
    """Return scores of a classifier that answers with the grey value modulo 3."""
    return torch.eye(3)[images[:, 0, 0, 0].long() % 3]


def scored(count: int, journal: Journal | None = None) -> list[Scored]:
    """Return what two classifiers say: the grey value modulo 3, and always class 1."""
    found = score_images(
        grey_batches(count),
        modulo,
        classifier="modulo",
        journal=journal or Journal(),
        split="val",
    )
    always = torch.tensor([0.0, 1.0, 0.5])
    return [
        Scored({**logits, "constant": always.repeat(len(labels), 1)}, labels)
        for logits, labels in found
    ]


def tally(count: int) -> dict[str, Tally]:
    return tally_scored(
        scored(count), ["modulo", "constant"], num_classes=3, top_k=2, world=World()
    )


@pytest.fixture
def model(tiny_run: Callable[..., Run]) -> TwoStreamClassifier:
    return build_model(tiny_run(), num_classes=12, num_landmarks=0)


def images(count: int) -> Tensor:
    return torch.randint(256, (count, 3, 24, 24), generator=rng_for(0), dtype=torch.uint8)


def count_calls(module: nn.Module) -> list[int]:
    """Return a list that grows by the size of a batch whenever the module is called."""
    calls: list[int] = []
    module.register_forward_hook(lambda _module, given, _result: calls.append(len(given[0])))
    return calls


def live_maps(model: TwoStreamClassifier, count: int, compute: Compute) -> LiveMaps:
    return LiveMaps(grey_batches(count), model, compute, augmentation=AugmentationConfig())


def score(
    model: TwoStreamClassifier, classifiers: dict[str, nn.Module], count: int, **options: Any
) -> list[Scored]:
    compute = Compute(CPU, ComputeConfig(**options))
    found = score_maps(
        live_maps(model, count, compute),
        model,
        classifiers,
        compute=compute,
        journal=Journal(),
        split="val",
    )
    return list(found)


def grey_images(count: int) -> Tensor:
    (batch,) = grey_batches(count).in_order(count)
    return scale_pixels(batch.images)


def test_features_are_computed_once_for_all_classifiers(model: TwoStreamClassifier) -> None:
    counted = [count_calls(one) for one in (model.texture_block, model.shape_block)]
    classifiers: dict[str, nn.Module] = {
        name: LinearClassifier(64, 12) for name in ("before", "after")
    }

    (found,) = score(model, classifiers, 5)

    assert counted == [[5], [5]]
    assert list(found.logits) == ["before", "after"]


def test_each_classifier_scores_the_model_s_features(model: TwoStreamClassifier) -> None:
    other = LinearClassifier(64, 12)

    (found,) = score(model, {"own": model.main_classifier, "other": other}, 5)

    outputs = model.eval()(grey_images(5))
    assert torch.equal(found.logits["own"], outputs.logits)
    assert torch.equal(found.logits["other"], other(outputs.features))
    assert found.labels.tolist() == [0, 1, 2, 0, 1]
    assert not found.logits["own"].requires_grad


def test_a_predictor_scores_uint8_images_as_the_network_does(model: TwoStreamClassifier) -> None:
    logits = model_predictor(model, CPU)(images(5))

    assert torch.equal(logits, model.eval()(scale_pixels(images(5))).logits)
    assert not logits.requires_grad


def test_images_are_scored_in_evaluation_mode(model: TwoStreamClassifier) -> None:
    predict = model_predictor(model.train(), CPU)

    together = predict(images(5))

    alone = torch.cat([predict(image.unsqueeze(0)) for image in images(5)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)  # other sums, same numbers


def test_maps_are_scored_in_evaluation_mode(model: TwoStreamClassifier) -> None:
    classifiers = {"own": model.main_classifier}

    (first,) = score(model.train(), classifiers, 5)
    (again,) = score(model.train(), classifiers, 5)

    assert torch.equal(first.logits["own"], again.logits["own"])


def test_features_may_be_computed_in_reduced_precision_logits_are_not(
    model: TwoStreamClassifier,
) -> None:
    classifiers = {"own": model.main_classifier}

    (exact,) = score(model, classifiers, 5)
    (reduced,) = score(model, classifiers, 5, precision="bf16")

    assert reduced.logits["own"].dtype == torch.float32
    assert not torch.equal(reduced.logits["own"], exact.logits["own"])
    torch.testing.assert_close(reduced.logits["own"], exact.logits["own"], rtol=0.05, atol=0.05)


def test_every_image_is_counted_once_for_every_classifier() -> None:
    count = 2 * EVALUATE_BATCH + 3

    tallies = tally(count)

    modulo, constant = torch.zeros(3, 3), torch.zeros(3, 3)
    for row in range(count):
        modulo[row % 3, row % 256 % 3] += 1
        constant[row % 3, 1] += 1
    assert tallies["modulo"].matrix.tolist() == modulo.tolist()
    assert tallies["constant"].matrix.tolist() == constant.tolist()
    assert tallies["constant"].hits.tolist() == [0, constant[1, 1], constant[2, 1]]


def test_progress_is_shown_by_batches(model: TwoStreamClassifier) -> None:
    shown: list[Progress] = []
    journal = Journal(show=shown.append)

    scored(EVALUATE_BATCH + 1, journal)
    list(
        score_maps(
            live_maps(model, EVALUATE_BATCH + 1, Compute(CPU)),
            model,
            {"own": model.main_classifier},
            compute=Compute(CPU),
            journal=journal,
            split="test",
        )
    )

    assert shown == [
        Progress(f"evaluate {split}", done, 2, {}) for split in ("val", "test") for done in (1, 2)
    ]


def tally_share(count: int) -> list[Any]:
    with joined_world(CPU) as world:
        own = world.share(scored(count))
        found = tally_scored(own, ["modulo", "constant"], num_classes=3, top_k=2, world=world)
        return [[one.matrix.tolist(), one.hits.tolist()] for one in found.values()]


@pytest.mark.parametrize("size", [2, 3])
def test_processes_count_every_image_once_between_them(
    in_processes: InProcesses, size: int
) -> None:
    count = 2 * EVALUATE_BATCH + 3  # three batches, which two processes cannot share evenly

    found = in_processes(size, tally_share, count)

    alone = [[one.matrix.tolist(), one.hits.tolist()] for one in tally(count).values()]
    assert found == [alone] * size


def report(tallies: dict[str, Tally], seed: int = 0) -> dict[str, dict[str, object]] | None:
    return report_split(
        tallies,
        class_names=NAMES,
        train_counts=np.array([30, 20, 10]),
        config=MetricsConfig(top_k=2, bootstrap_samples=100),
        seed=seed,
    )


def test_the_report_has_the_metrics_of_each_classifier() -> None:
    metrics = report(tally(200))

    assert metrics is not None
    assert list(metrics) == ["modulo", "constant"]
    assert metrics["modulo"]["acsa"] == metrics["modulo"]["top1"] == 1.0
    assert metrics["constant"]["acsa"] == pytest.approx(1 / 3)
    assert metrics["constant"]["top2"] == pytest.approx((67 + 66) / 200)
    assert metrics["constant"]["few"] == 0.0
    assert metrics["constant"]["zero_recall_classes"] == ["a", "c"]


def test_a_split_without_images_has_no_metrics() -> None:
    assert not tally(0)["modulo"].matrix.any()
    assert report(tally(0)) is None
    assert report({}) is None


def test_the_intervals_depend_on_the_seed_alone() -> None:
    mixed = Tally.empty(3, top_k=2)
    mixed.update(torch.rand(60, 3, generator=rng_for(0)), torch.arange(60) % 3)

    first, again, other = (report({"mixed": mixed}, seed) for seed in (0, 0, 1))

    assert first == again != other
