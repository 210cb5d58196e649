"""scikit-learn's and imbalanced-learn's own checks; docs/sklearn.md argues for what is left out."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from imblearn.utils import estimator_checks as imblearn_checks
from sklearn.utils import estimator_checks as sklearn_checks

from fdmo_core.sampling import ConvexSampler, RebalancedClassifier

Check = Callable[[Any], None]

TINY_GAN = {"noise_dim": 4, "hidden": (8, 8), "discriminator_hidden": (8, 8)}
SAMPLERS = [
    ConvexSampler(generator="random", random_state=0),
    ConvexSampler(generator="smote", random_state=0),
    ConvexSampler(generator_options=TINY_GAN, epochs=1, random_state=0),
]
CLASSIFIERS = [
    RebalancedClassifier(
        rebalancer_options={"epochs": 1}, generator_options=TINY_GAN, random_state=0
    )
]


PAGE = (Path(__file__).parents[3] / "docs" / "sklearn.md").read_text(encoding="utf-8")
ARGUED = re.findall(r"^\| `(check_\w+)` \| imbalanced-learn \|", PAGE, flags=re.MULTILINE)


def argued_failures(estimator: object) -> dict[str, str]:
    """Return what the page argues for, of the samplers."""
    if not isinstance(estimator, ConvexSampler):
        return {}
    return dict.fromkeys(ARGUED, "argued in docs/sklearn.md")


def test_the_page_argues_for_one_failure() -> None:
    assert ARGUED == ["check_samplers_pandas_sparse"]


def test_the_examples_of_the_page_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)

    script = "\n".join(blocks)

    assert len(blocks) >= 5
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.filterwarnings("ignore")
@imblearn_checks.parametrize_with_checks(  # type: ignore[untyped-decorator]
    [*SAMPLERS, *CLASSIFIERS], expected_failed_checks=argued_failures
)
def test_passes_the_checks_of_imbalanced_learn(estimator: object, check: Check) -> None:
    check(estimator)


@pytest.mark.filterwarnings("ignore")
@sklearn_checks.parametrize_with_checks(  # type: ignore[untyped-decorator]
    [*SAMPLERS, *CLASSIFIERS]
)
def test_passes_the_checks_of_scikit_learn(estimator: object, check: Check) -> None:
    check(estimator)
