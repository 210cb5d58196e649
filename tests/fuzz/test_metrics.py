"""Every figure against exact rational arithmetic, whatever was counted."""

from fractions import Fraction
from math import prod

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fdmo_core.confusion import Tally
from fdmo_core.metrics import MetricsConfig, summarize

Matrix = list[list[int]]
CONFIG = MetricsConfig(bootstrap_samples=100)
CLOSE = Fraction(1, 10**12)


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    """Confusion matrices with at least one sample, some of whose classes may be absent."""
    size = draw(st.integers(1, 6))
    counts = st.integers(0, 40) | st.integers(0, 10**12)
    cells = st.lists(counts, min_size=size, max_size=size)
    found = draw(st.lists(cells, min_size=size, max_size=size))
    if not any(map(sum, found)):
        found[0][0] = 1
    return found


@given(matrix=matrices(), train=st.data())
@settings(max_examples=150, derandomize=True, deadline=None, database=None)
def test_figures_are_those_of_exact_fractions(matrix: Matrix, train: st.DataObject) -> None:
    size = len(matrix)
    tally = Tally(torch.tensor(matrix), torch.tensor([sum(row) for row in matrix]), top_k=size)
    counts = train.draw(st.lists(st.integers(1, 1000), min_size=size, max_size=size))
    names = [f"class {label}" for label in range(size)]

    report = summarize(
        tally, class_names=names, train_counts=np.array(counts), config=CONFIG, rng_seed=0
    )

    totals = [sum(row) for row in matrix]
    present = [label for label in range(size) if totals[label]]
    recalls = {label: Fraction(matrix[label][label], totals[label]) for label in present}
    assert report.samples == sum(totals)
    assert report.classes_present == len(present)
    correct = sum(matrix[label][label] for label in range(size))
    assert abs(Fraction(report.top1) - Fraction(correct, sum(totals))) <= CLOSE
    assert report.top_k_accuracy == 1
    mean = sum(recalls.values(), Fraction(0)) / len(present)
    assert abs(Fraction(report.acsa) - mean) <= CLOSE
    assert_geometric_mean(report.geometric_mean, list(recalls.values()))
    floor = Fraction(CONFIG.gm_eps)
    assert_geometric_mean(report.geometric_mean_eps, [max(one, floor) for one in recalls.values()])
    assert report.zero_recall_classes == tuple(
        names[label] for label in present if recalls[label] == 0
    )
    assert report.absent_classes == tuple(
        names[label] for label in range(size) if label not in present
    )
    for label in present:
        assert report.classes[names[label]].recall == float(recalls[label])
        low, high = report.classes[names[label]].interval
        assert 0 <= low <= recalls[label] + CLOSE
        assert recalls[label] - CLOSE <= high <= 1


def assert_geometric_mean(found: float, recalls: list[Fraction]) -> None:
    """Compare the power of what was found with the product, which is exact."""
    product = prod(recalls, start=Fraction(1))
    if product == 0:
        assert found == 0
        return
    ratio = Fraction(found) ** len(recalls) / product
    assert abs(ratio - 1) <= len(recalls) * CLOSE
