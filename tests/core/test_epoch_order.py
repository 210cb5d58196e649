"""Which images an epoch shows."""

import math

import pytest
import torch
from torch import Tensor

from fdmo_core.epoch_order import Sampling, epoch_rows
from fdmo_core.randomness import rng_for


def labels_of(*sizes: int) -> Tensor:
    """Return labels of so many images a class, mixed."""
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return labels[torch.randperm(len(labels), generator=rng_for(0, "mix"))]


def test_natural_sampling_shows_every_image_once() -> None:
    rows = epoch_rows(labels_of(20, 5, 1), "natural", rng_for(0))

    assert sorted(rows.tolist()) == list(range(26))
    assert rows.tolist() != list(range(26))


@pytest.mark.parametrize("sampling", ["natural", "balanced"])
def test_the_order_depends_on_the_generator_alone(sampling: Sampling) -> None:
    labels = labels_of(20, 5, 1)

    first, again, other = (epoch_rows(labels, sampling, rng_for(seed)) for seed in (0, 0, 1))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (26,)
    assert first.dtype == torch.int64


def test_balanced_sampling_shows_all_classes_equally_often() -> None:
    labels = labels_of(6000, 3000, 900, 99, 1)

    rows = epoch_rows(labels, "balanced", rng_for(0))

    spread = math.sqrt(10_000 * 0.2 * 0.8)
    for shown in labels[rows].bincount(minlength=5).tolist():
        assert abs(shown - 2000) < 4 * spread


def test_balanced_sampling_shows_the_images_of_a_class_equally_often() -> None:
    labels = labels_of(990, 10)

    shown = torch.zeros(1000)
    for seed in range(20):
        shown += epoch_rows(labels, "balanced", rng_for(seed)).bincount(minlength=1000)

    rare = shown[labels == 1]
    spread = math.sqrt(20_000 * 0.05 * 0.95)
    assert ((rare - 1000).abs() < 4 * spread).all()
    assert len(rare) == 10


def test_classes_without_an_image_are_never_shown() -> None:
    labels = labels_of(0, 7, 0, 3, 0)

    rows = epoch_rows(labels, "balanced", rng_for(0))

    assert set(labels[rows].tolist()) == {1, 3}


def test_balanced_rows_are_those_of_a_plain_loop() -> None:
    labels = labels_of(0, 7, 4, 1)
    classes = [1, 2, 3]
    rng = rng_for(3)
    drawn = torch.randint(3, (12,), generator=rng).tolist()
    chances = torch.rand(12, generator=rng, dtype=torch.float64).tolist()

    rows = epoch_rows(labels, "balanced", rng_for(3))

    expected = []
    for pick, chance in zip(drawn, chances, strict=True):
        own = [row for row, label in enumerate(labels.tolist()) if label == classes[pick]]
        expected.append(own[int(chance * len(own))])
    assert rows.tolist() == expected


@pytest.mark.parametrize("sampling", ["natural", "balanced"])
def test_one_image_is_enough(sampling: Sampling) -> None:
    assert epoch_rows(torch.tensor([2]), sampling, rng_for(0)).tolist() == [0]
