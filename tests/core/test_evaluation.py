from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fdmo_core.batches import Batches, LoadingConfig, scale_pixels
from fdmo_core.classifier import LinearClassifier
from fdmo_core.config import Run
from fdmo_core.confusion import Tally
from fdmo_core.evaluation import EVALUATE_BATCH, model_predictor, report_split, tally_split
from fdmo_core.journal import Journal, Progress
from fdmo_core.metrics import MetricsConfig
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.model_building import build_model
from fdmo_core.randomness import rng_for
from fdmo_core.samples import Sample

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


def by_grey_value(images: Tensor) -> dict[str, Tensor]:
    """Return the scores of two classifiers: the grey value modulo 3, and always class 1."""
    values = images[:, 0, 0, 0].long()
    return {
        "modulo": torch.eye(3)[values % 3],
        "constant": torch.tensor([0.0, 1.0, 0.5]).repeat(len(images), 1),
    }


def tally(count: int, journal: Journal | None = None) -> dict[str, Tally]:
    return tally_split(
        by_grey_value,
        grey_batches(count),
        num_classes=3,
        top_k=2,
        journal=journal or Journal(),
        split="val",
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


def test_features_are_computed_once_for_all_classifiers(model: TwoStreamClassifier) -> None:
    counted = [count_calls(one) for one in (model.texture_extractor, model.shape_extractor)]
    classifiers = {name: LinearClassifier(64, 12) for name in ("before", "after")}

    logits = model_predictor(model, classifiers, CPU)(images(5))

    assert counted == [[5], [5]]
    assert list(logits) == ["before", "after"]


def test_each_classifier_scores_the_model_s_features(model: TwoStreamClassifier) -> None:
    other = LinearClassifier(64, 12)
    predict = model_predictor(model, {"own": model.main_classifier, "other": other}, CPU)

    logits = predict(images(5))

    outputs = model.eval()(scale_pixels(images(5)))
    assert torch.equal(logits["own"], outputs.logits)
    assert torch.equal(logits["other"], other(outputs.features))
    assert not logits["own"].requires_grad


def test_images_are_scored_in_evaluation_mode(model: TwoStreamClassifier) -> None:
    predict = model_predictor(model.train(), {"own": model.main_classifier}, CPU)

    together = predict(images(5))["own"]

    alone = torch.cat([predict(image.unsqueeze(0))["own"] for image in images(5)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)  # other sums, same numbers


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


def test_progress_is_shown_by_batches() -> None:
    shown: list[Progress] = []

    tally(EVALUATE_BATCH + 1, Journal(show=shown.append))

    assert shown == [Progress("evaluate val", done, 2, {}) for done in (1, 2)]


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
    assert tally(0) == {}
    assert report({}) is None


def test_the_intervals_depend_on_the_seed_alone() -> None:
    mixed = Tally.empty(3, top_k=2)
    mixed.update(torch.rand(60, 3, generator=rng_for(0)), torch.arange(60) % 3)

    first, again, other = (report({"mixed": mixed}, seed) for seed in (0, 0, 1))

    assert first == again != other
