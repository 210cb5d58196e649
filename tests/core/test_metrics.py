import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from imblearn.metrics import geometric_mean_score
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.metrics import accuracy_score, balanced_accuracy_score, top_k_accuracy_score

from fdmo_core.confusion import Tally
from fdmo_core.errors import DataError, ShapeError
from fdmo_core.metrics import MetricsConfig, MetricsReport, summarize

# Totals 10, 5, 0, 4, 2; the third class is absent and the last is never recognised.
MATRIX = [
    [9, 1, 0, 0, 0],
    [1, 3, 1, 0, 0],
    [0, 0, 0, 0, 0],
    [1, 1, 0, 2, 0],
    [0, 2, 0, 0, 0],
]
NAMES = ["shirt", "coat", "cape", "skirt", "kimono"]
TRAIN_COUNTS = np.array([500, 60, 200, 30, 7])


def report(
    matrix: list[list[int]] = MATRIX,
    *,
    counts: NDArray[np.int64] = TRAIN_COUNTS,
    names: list[str] = NAMES,
    rng_seed: int = 0,
    **settings: Any,
) -> MetricsReport:
    filled = torch.tensor(matrix)
    return summarize(
        Tally(matrix=filled, hits=filled.sum(dim=1), top_k=min(5, len(matrix))),
        class_names=names,
        train_counts=counts,
        config=MetricsConfig(**settings),
        rng_seed=rng_seed,
    )


def test_figures_match_plain_loops_over_the_present_classes() -> None:
    total, product, right = 0.0, 1.0, 0
    for index in (0, 1, 3, 4):
        recall = MATRIX[index][index] / sum(MATRIX[index])
        total += recall
        product *= max(recall, 0.01)
        right += MATRIX[index][index]

    result = report(gm_eps=0.01)

    assert (result.samples, result.classes_present) == (21, 4)
    assert result.top1 == pytest.approx(right / 21)
    assert result.acsa == pytest.approx(total / 4)
    assert result.geometric_mean == 0.0
    assert result.geometric_mean_eps == pytest.approx(product ** (1 / 4))


def test_agrees_with_scikit_learn_and_imbalanced_learn() -> None:
    rng = torch.Generator().manual_seed(3)
    labels = torch.randint(6, (300,), generator=rng)
    logits = torch.randn(300, 6, generator=rng) + torch.nn.functional.one_hot(labels, 6)
    tally = Tally.empty(6, top_k=2)
    tally.update(logits, labels)
    truth, predicted = labels.numpy(), logits.argmax(dim=1).numpy()

    result = summarize(
        tally,
        class_names=list("abcdef"),
        train_counts=np.arange(6),
        config=MetricsConfig(),
        rng_seed=0,
    ).as_dict()

    assert result["top1"] == pytest.approx(accuracy_score(truth, predicted))
    assert result["top2"] == pytest.approx(top_k_accuracy_score(truth, logits.numpy(), k=2))
    assert result["acsa"] == pytest.approx(balanced_accuracy_score(truth, predicted))
    expected = geometric_mean_score(truth, predicted, average="multiclass")
    assert result["geometric_mean"] == pytest.approx(expected)


def test_absent_and_missed_classes_are_named_and_kept_apart() -> None:
    result = report()

    assert result.absent_classes == ("cape",)
    assert result.zero_recall_classes == ("kimono",)
    assert list(result.classes) == ["shirt", "coat", "skirt", "kimono"]


def test_every_present_class_has_counts_recall_and_interval() -> None:
    result = report().as_dict()["classes"]["skirt"]

    assert (result["train"], result["test"], result["correct"]) == (30, 4, 2)
    assert result["recall"] == 0.5
    assert result["interval"] == pytest.approx([0.15, 0.85], abs=1e-3)


def test_a_missed_class_still_has_an_interval_of_its_own() -> None:
    lower, upper = report().classes["kimono"].interval

    assert lower == 0
    assert upper > 0.5  # none of two says little


def test_groups_average_their_present_classes_only() -> None:
    result = report()

    assert result.few == pytest.approx((0.0 + 2 / 4) / 2)  # kimono, skirt
    assert result.medium == pytest.approx(3 / 5)  # coat
    assert result.many == pytest.approx(9 / 10)  # shirt; cape is absent
    assert result.bottom_quarter == pytest.approx((0.0 + 2 / 4) / 2)  # 2 of 5


def test_an_absent_class_does_not_shift_the_groups_of_the_others() -> None:
    names = ["none", "first", "second"]

    result = report([[0, 0, 0], [0, 1, 0], [1, 0, 0]], names=names, counts=np.array([9, 1, 5]))

    assert (result.few, result.medium, result.many) == (1.0, 0.0, None)


def test_thresholds_leave_an_empty_group_without_a_figure() -> None:
    counts = np.array([500, 300, 200, 150, 40])

    result = report(counts=counts, shot_groups="thresholds").as_dict()

    assert result["shot_groups"] == "thresholds"
    assert result["few"] is None
    assert result["medium"] == 0.0


def test_intervals_hold_their_figures_and_follow_the_seed() -> None:
    matrix = [[30, 10], [5, 15]]
    results = [
        report(matrix, names=["a", "b"], counts=np.array([9, 5]), rng_seed=seed)
        for seed in (0, 0, 1)
    ]

    first, again, other = results
    assert first == again
    assert first.acsa_interval != other.acsa_interval
    assert first.acsa_interval[0] < first.acsa < first.acsa_interval[1]
    lower, upper = first.geometric_mean_interval
    assert lower < first.geometric_mean < upper


def test_a_missed_class_leaves_the_geometric_mean_no_interval() -> None:
    assert report().geometric_mean_interval == (0.0, 0.0)


def test_more_confidence_widens_every_interval() -> None:
    narrow, wide = report(confidence=0.5), report(confidence=0.99)

    assert wide.acsa_interval[0] < narrow.acsa_interval[0]
    assert wide.acsa_interval[1] > narrow.acsa_interval[1]
    assert wide.classes["shirt"].interval[0] < narrow.classes["shirt"].interval[0]


@given(st.permutations(range(5)))
def test_renumbering_the_classes_changes_no_figure(order: list[int]) -> None:
    matrix = torch.tensor(MATRIX)[order][:, order].tolist()
    names = [NAMES[index] for index in order]

    result = report(matrix, names=names, counts=TRAIN_COUNTS[order], bootstrap_samples=100)

    expected = report(bootstrap_samples=100).as_dict()
    for name, value in result.as_dict().items():
        if isinstance(value, float):
            assert value == pytest.approx(expected[name], abs=1e-12)
        else:
            assert value == expected[name]


def test_a_report_is_json_and_names_its_k() -> None:
    values = report().as_dict()

    assert json.loads(json.dumps(values)) == values
    assert list(values) == [
        *("samples", "classes_present", "top1", "top5", "acsa", "acsa_interval"),
        *("geometric_mean", "geometric_mean_interval", "geometric_mean_eps"),
        *("zero_recall_classes", "shot_groups", "many", "medium", "few", "bottom_quarter"),
        *("absent_classes", "confidence", "classes"),
    ]


def test_k_beyond_the_classes_is_reported_as_the_k_that_was_used() -> None:
    values = report([[1, 0], [0, 1]], names=["a", "b"], counts=np.array([2, 1])).as_dict()

    assert values["top2"] == 1.0
    assert "top5" not in values


def test_a_split_without_samples_is_an_error() -> None:
    with pytest.raises(DataError) as caught:
        report([[0, 0], [0, 0]], names=["a", "b"], counts=np.array([2, 1]))

    assert str(caught.value) == (
        "The evaluated split holds no samples. Expected at least one labelled image. Evaluate "
        "another split, or give this one images."
    )


def test_names_and_counts_must_fit_the_tally() -> None:
    with pytest.raises(ShapeError) as caught:
        report(names=["a", "b"])

    assert str(caught.value) == (
        "The tally has 5 classes, with 2 names and 5 training counts. Expected the same of each. "
        "Take all three from the run's training split."
    )


def test_thresholds_that_overlap_are_refused() -> None:
    with pytest.raises(ValidationError, match="few_below = 200 is above many_above = 100") as error:
        MetricsConfig(few_below=200)

    assert "Lower few_below." in str(error.value)


def test_thresholds_may_meet() -> None:
    assert MetricsConfig(few_below=100).few_below == 100
