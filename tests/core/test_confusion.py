import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, top_k_accuracy_score
from torch import Tensor

from fdmo_core.confusion import Tally
from fdmo_core.errors import DataError, ShapeError

NUM_CLASSES = 7


def batch(size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(size, NUM_CLASSES, generator=rng)
    return logits, torch.randint(NUM_CLASSES, (size,), generator=rng)


def tally_of(parts: Sequence[tuple[Tensor, Tensor]], top_k: int = 3) -> Tally:
    tally = Tally.empty(NUM_CLASSES, top_k=top_k)
    for logits, labels in parts:
        tally.update(logits, labels)
    return tally


def assert_equal(left: Tally, right: Tally) -> None:
    assert torch.equal(left.matrix, right.matrix)
    assert torch.equal(left.hits, right.hits)


def test_counts_what_a_loop_over_the_samples_counts() -> None:
    logits, labels = batch(50)

    matrix = [[0] * NUM_CLASSES for _ in range(NUM_CLASSES)]
    hits = [0] * NUM_CLASSES
    for scores, label in zip(logits.tolist(), labels.tolist(), strict=True):
        ranking = np.argsort([-score for score in scores], kind="stable").tolist()
        matrix[label][ranking[0]] += 1
        hits[label] += label in ranking[:3]

    tally = tally_of([(logits, labels)])
    assert tally.matrix.tolist() == matrix
    assert tally.hits.tolist() == hits


def test_agrees_with_scikit_learn() -> None:
    logits, labels = batch(200)
    truth, predicted = labels.numpy(), logits.argmax(dim=1).numpy()
    classes = np.arange(NUM_CLASSES)

    tally = tally_of([(logits, labels)])

    assert np.array_equal(tally.matrix, confusion_matrix(truth, predicted, labels=classes))
    assert int(tally.correct.sum()) / 200 == accuracy_score(truth, predicted)
    expected = top_k_accuracy_score(truth, logits.numpy(), k=3, labels=classes)
    assert int(tally.hits.sum()) / 200 == expected


def test_keeps_integers_per_true_class() -> None:
    logits, labels = batch(40)

    tally = tally_of([(logits, labels)])

    assert tally.matrix.dtype == tally.hits.dtype == torch.int64
    assert torch.equal(tally.totals, labels.bincount(minlength=NUM_CLASSES))


@given(st.permutations(range(30)), st.lists(st.integers(0, 30), max_size=5).map(sorted))
def test_neither_order_nor_batches_change_the_counts(order: list[int], cuts: list[int]) -> None:
    logits, labels = batch(30)

    parts = torch.tensor(order).tensor_split(cuts)
    shuffled = tally_of([(logits[part], labels[part]) for part in parts])

    assert_equal(shuffled, tally_of([(logits, labels)]))


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_sum_over_processes_is_the_tally_of_all(processes: int) -> None:
    logits, labels = batch(31)

    total = Tally.empty(NUM_CLASSES, top_k=3)
    for rank in range(processes):
        total = total + tally_of([(logits[rank::processes], labels[rank::processes])])

    assert_equal(total, tally_of([(logits, labels)]))


def test_a_sum_leaves_its_terms_as_they_were() -> None:
    first, second = tally_of([batch(5)]), tally_of([batch(5, seed=1)])

    total = first + second
    total.update(*batch(5, seed=2))

    assert_equal(first, tally_of([batch(5)]))
    assert_equal(second, tally_of([batch(5, seed=1)]))


def test_equal_scores_rank_by_class_index() -> None:
    logits, labels = torch.zeros(3, NUM_CLASSES), torch.tensor([0, 2, 3])

    tally = tally_of([(logits, labels)], top_k=3)

    assert tally.correct.tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert tally.hits.tolist() == [1, 0, 1, 0, 0, 0, 0]


@given(st.lists(st.integers(0, 2), min_size=NUM_CLASSES, max_size=NUM_CLASSES))
def test_the_best_one_hit_is_the_prediction_even_with_ties(scores: list[int]) -> None:
    logits = torch.tensor(scores, dtype=torch.float16).repeat(NUM_CLASSES, 1)

    tally = tally_of([(logits, torch.arange(NUM_CLASSES))], top_k=1)

    assert torch.equal(tally.hits, tally.correct)


def test_k_is_clipped_to_the_number_of_classes() -> None:
    tally = tally_of([batch(20)], top_k=50)

    assert tally.top_k == NUM_CLASSES
    assert torch.equal(tally.hits, tally.totals)


def test_an_empty_batch_counts_nothing() -> None:
    assert_equal(tally_of([batch(0)]), Tally.empty(NUM_CLASSES, top_k=3))


@pytest.mark.parametrize("label", [-1, NUM_CLASSES])
def test_refuses_a_label_out_of_range_and_counts_nothing_of_its_batch(label: int) -> None:
    tally = Tally.empty(NUM_CLASSES, top_k=3)

    with pytest.raises(ShapeError) as caught:
        tally.update(torch.zeros(2, NUM_CLASSES), torch.tensor([0, label]))

    assert str(caught.value) == (
        f"Label {label} is out of range. Expected 0 to 6. Number the classes of this split in "
        "the order of the training split's."
    )
    assert not tally.matrix.any()


def test_refuses_logits_of_other_classes() -> None:
    with pytest.raises(ShapeError) as caught:
        tally_of([(torch.zeros(2, 9), torch.tensor([0, 1]))])

    assert str(caught.value) == (
        "Logits have shape (2, 9) and labels (2,). Expected (B, 7) and (B,). Evaluate the model "
        "on the classes that it was trained for, in batches."
    )


def test_refuses_scores_that_have_no_rank() -> None:
    logits, labels = batch(4)
    logits[1:3, 0] = float("nan")

    with pytest.raises(DataError) as caught:
        tally_of([(logits, labels)])

    assert str(caught.value) == (
        "The class scores of 2 of 4 samples are NaN. Expected numbers. Train again with a lower "
        "learning rate, or check the weights and the images."
    )


def test_refuses_to_add_tallies_of_different_kinds() -> None:
    with pytest.raises(ShapeError) as caught:
        Tally.empty(3, top_k=2) + Tally.empty(4, top_k=1)

    assert str(caught.value) == (
        "One tally has 3 classes and top_k 2, the other 4 and 1. Expected the same of both. "
        "Evaluate both parts with one model and one configuration."
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_a_matrix_of_10_000_classes_takes_memory_for_the_counts_alone() -> None:
    labels = torch.arange(0, 10_000, 5)
    before = resident_mebibytes()

    tally = Tally.empty(10_000, top_k=5)
    for some in labels.split(100):
        tally.update(torch.zeros(len(some), 10_000), some)

    assert tally.totals.sum() == len(labels)
    assert tally.matrix.any()
    # 8 C^2 bytes are 763 MiB, a page for each sample 8 MiB, a batch's scores 4 MiB.
    assert resident_mebibytes() - before < 200


def resident_mebibytes() -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = (one for one in status if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
