"""scikit-learn's and imbalanced-learn's own checks; docs/sklearn.md argues for what is left out."""

from collections.abc import Callable
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


def sparse_frames_are_refused(estimator: object) -> dict[str, str]:
    if not isinstance(estimator, ConvexSampler):
        return {}
    return {"check_samplers_pandas_sparse": "a mixture of rows is dense"}


@pytest.mark.filterwarnings("ignore")
@imblearn_checks.parametrize_with_checks(  # type: ignore[untyped-decorator]
    [*SAMPLERS, *CLASSIFIERS], expected_failed_checks=sparse_frames_are_refused
)
def test_passes_the_checks_of_imbalanced_learn(estimator: object, check: Check) -> None:
    check(estimator)


@pytest.mark.filterwarnings("ignore")
@sklearn_checks.parametrize_with_checks(  # type: ignore[untyped-decorator]
    [*SAMPLERS, *CLASSIFIERS]
)
def test_passes_the_checks_of_scikit_learn(estimator: object, check: Check) -> None:
    check(estimator)
