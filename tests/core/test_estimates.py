import math
import statistics
from typing import Any

import pytest
from scipy import stats  # type: ignore[import-untyped]

from fdmo_core.errors import ShapeError
from fdmo_core.estimates import (
    Estimate,
    estimate_metric,
    estimate_recall,
    over_runs,
    student_p_value,
    student_quantile,
)


def report(correct: tuple[int, int], **figures: Any) -> dict[str, Any]:
    """Return what metrics.json holds of a split with 10 images of each of two classes."""
    classes = {
        name: {"correct": hits, "test": 10, "recall": hits / 10, "interval": [0.0, hits / 10 + 0.1]}
        for name, hits in zip(("tee", "cape"), correct, strict=True)
    }
    return {
        "samples": 20,
        "confidence": 0.95,
        "top1": sum(correct) / 20,
        "classes": classes,
        **figures,
    }


@pytest.mark.parametrize("degrees", [1, 2, 5, 30, 1000])
@pytest.mark.parametrize("statistic", [-2.5, 0.0, 0.3, 1.96, 12.0])
def test_the_p_value_of_student_s_t_is_scipy_s(statistic: float, degrees: int) -> None:
    expected = 2 * float(stats.t.sf(abs(statistic), degrees))

    assert student_p_value(statistic, degrees) == pytest.approx(expected, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 8, 9, 30, 99])
@pytest.mark.parametrize("probability", [0.5, 0.9, 0.975, 0.995])
def test_the_quantile_is_that_of_scipy(degrees: int, probability: float) -> None:
    expected = stats.t.ppf(probability, degrees)

    assert student_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_over_runs_is_the_mean_and_student_s_interval() -> None:
    values = [0.3, 0.35, 0.31, 0.4]

    found = over_runs(values, confidence=0.95)

    half = stats.t.ppf(0.975, 3) * statistics.stdev(values) / math.sqrt(4)
    assert found.mean == pytest.approx(sum(values) / 4)
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))
    assert found.num_runs == 4


def test_runs_that_agree_have_an_interval_without_width() -> None:
    assert over_runs([0.5, 0.5], confidence=0.95) == Estimate(0.5, 0.5, 0.5, num_runs=2)


def test_one_run_has_no_spread() -> None:
    with pytest.raises(ShapeError) as caught:
        over_runs([0.5], confidence=0.95)

    assert str(caught.value) == (
        "1 run(s) have no spread. Expected at least 2. Repeat the run with another seed."
    )


def test_one_report_gives_its_own_interval() -> None:
    one = report((9, 2), acsa=0.55, acsa_interval=[0.4, 0.7])

    assert estimate_metric([one], "acsa", confidence=0.95) == Estimate(0.55, 0.4, 0.7, num_runs=1)


def test_the_interval_of_one_top_1_accuracy_is_wilson_s() -> None:
    found = estimate_metric([report((9, 2))], "top1", confidence=0.95)

    expected = stats.binomtest(11, 20).proportion_ci(0.95, method="wilson")
    assert found.mean == 11 / 20
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_figure_without_an_interval_has_none() -> None:
    one = report((9, 2), few=0.2)

    assert estimate_metric([one], "few", confidence=0.95) == Estimate(0.2, None, None, num_runs=1)


def test_several_reports_are_taken_as_runs() -> None:
    reports = [report((9, 2), acsa=0.5), report((9, 2), acsa=0.6)]

    found = estimate_metric(reports, "acsa", confidence=0.9)

    assert found == over_runs([0.5, 0.6], confidence=0.9)


def test_the_recall_of_a_class_comes_with_its_own_interval_or_over_runs() -> None:
    reports = [report((9, 2)), report((7, 3))]

    one = estimate_recall(reports[:1], "cape", confidence=0.95)
    both = estimate_recall(reports, "cape", confidence=0.95)

    assert (one.mean, one.low, one.high) == pytest.approx((0.2, 0.0, 0.3))
    assert both == over_runs([0.2, 0.3], confidence=0.95)
