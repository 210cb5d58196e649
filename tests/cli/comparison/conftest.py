"""A comparison that was never run."""

import pytest

from fdmo_cli.comparison.findings import Against, Comparison, Figure, Gain, Ranks, Result

CLASSES = ("tee", "skirt_long", "cape & robe")


def result(method: str, acsa: float, against: Against | None) -> Result:
    figure = Figure(acsa, 0.01, acsa - 0.02, acsa + 0.02)
    return Result(
        method=method,
        family="plain",
        seeds=(0, 1),
        figures={"acsa": figure, "geometric_mean": figure, "top1": figure, "ece": figure},
        recalls=dict.fromkeys(CLASSES, figure),
        seconds=1.5,
        against=against,
    )


@pytest.fixture
def comparison() -> Comparison:
    """Of three methods, one worse than the baseline and one that cannot be told from it."""
    gain = Gain(-0.03, -0.05, -0.01, -0.06, -0.005)
    gains = dict.fromkeys(("acsa", "geometric_mean", "top1"), gain)
    worse = Against((0, 1), gains, 0.001, 0.002, 0.0001, 0.0002, "worse", "worse by 3.00 points")
    open_ = Against((0, 1), gains, 0.4, 0.4, 0.2, 0.2, "indistinguishable", "indistinguishable")
    return Comparison(
        baseline="none",
        seeds=(0, 1),
        confidence=0.95,
        same_images=True,
        class_names=CLASSES,
        train_counts=(100, 20, 3),
        test_counts=(10, 10, 12),
        results=(
            result("none", 0.8, None),
            result("smote@10", 0.79, open_),
            result("smote@50", 0.77, worse),
        ),
        ranks=Ranks(
            ("none", "smote@10", "smote@50"), (1.0, 2.0, 3.0), 0.1, 2.3, (("none", "smote@10"),)
        ),
    )
