"""Which held-out images are scored, and how."""

from collections import Counter

import numpy as np
import pytest
import torch

from fdmo_core.preprocessing import prepare
from fdmo_core.run_folder import TrainedRun
from fdmo_core.samples import Splits
from fdmo_export.validation import SCORE_BATCH, balanced_rows, score


@pytest.mark.parametrize("limit", [1, 7, 12, 40, 62, 63, 1000])
def test_no_class_has_more_than_its_share_unless_others_have_less(limit: int) -> None:
    labels = np.array([0] * 50 + [1] * 10 + [2] * 2 + [4], dtype=np.int64)
    np.random.default_rng(0).shuffle(labels)
    sizes = Counter(labels.tolist())

    rows = balanced_rows(labels, limit, seed=3)

    taken = Counter(labels[rows].tolist())
    assert len(rows) == len(set(rows.tolist())) == min(limit, len(labels))
    assert rows.tolist() == sorted(rows.tolist())
    most = max(taken.values())
    for label, size in sizes.items():  # each class has the most that any has, one less, or all
        assert taken[label] >= min(size, most - 1)


def test_the_seed_decides_which_rows_are_taken() -> None:
    labels = np.repeat(np.arange(3), 100)

    first, again, other = (balanced_rows(labels, 30, seed=seed).tolist() for seed in (0, 0, 1))

    assert first == again != other


def test_no_rows_of_no_samples() -> None:
    rows = balanced_rows(np.empty(0, dtype=np.int64), 10, seed=0)

    assert rows.shape == (0,)
    assert rows.dtype == np.int64


def test_images_are_scored_by_the_training_path(trained: TrainedRun, tiny_splits: Splits) -> None:
    found = score(trained, tiny_splits.train, SCORE_BATCH + 5)

    assert len(found.rows) == len(found.logits) == len(found.labels) == SCORE_BATCH + 5
    for index in (0, SCORE_BATCH - 1, SCORE_BATCH, SCORE_BATCH + 4):
        sample = tiny_splits.train[int(found.rows[index])]
        assert found.labels[index] == sample.label == found.sample(index).label
        pixels = prepare(sample, 24).image.float()[None] / 255
        with torch.no_grad():
            expected = trained.model(trained.model.prefix(pixels)).logits[0]
        torch.testing.assert_close(found.logits[index], expected, rtol=1e-4, atol=1e-5)


def test_a_split_without_images_has_no_scores(trained: TrainedRun, tiny_splits: Splits) -> None:
    class Empty:
        labels = np.empty(0, dtype=np.int64)

    found = score(trained, Empty(), 10)  # type: ignore[arg-type]

    assert (found.logits.shape, found.labels.shape) == ((0, 12), (0,))
