"""Target prior and tau as an application gives them."""

from typing import Any

import numpy as np
import pytest

from fdmo_core.errors import ConfigError
from fdmo_export.dials import read_prior, read_tau
from fdmo_export.metadata import Metadata

FILE = Metadata(
    entries={"class_counts": [6, 3, 1]},
    class_names=("shirt", "skirt", "dress"),
    thresholds=(None, None, None),
    landmark_names=(),
    image_size=24,
    feature_dim=0,
    takes_whole_images=True,
    precision="fp32",
)
DO = (
    "Expected 3 probabilities, one a class, that sum to 1. Divide how often each class occurs by "
    "the sum of these numbers."
)


@pytest.mark.parametrize(
    "prior",
    [
        [0.5, 0.25, 0.25],
        np.array([0.5, 0.25, 0.25]),
        {"dress": 0.25, "shirt": 0.5, "skirt": 0.25},
    ],
)
def test_a_prior_may_be_a_list_an_array_or_by_name(prior: Any) -> None:
    found = read_prior(prior, FILE)

    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([0.5, 0.25, 0.25], dtype=np.float32))


def test_two_priors_have_names() -> None:
    np.testing.assert_allclose(read_prior("balanced", FILE), [1 / 3] * 3, rtol=1e-6)
    np.testing.assert_allclose(read_prior("training", FILE), [0.6, 0.3, 0.1], rtol=1e-6)


def test_rounded_probabilities_sum_to_1_closely_enough() -> None:
    assert read_prior([0.333, 0.333, 0.3335], FILE).shape == (3,)


@pytest.mark.parametrize(
    ("prior", "wrong"),
    [
        ([0.5, 0.5], "has shape (2,)"),
        ([[0.5, 0.25, 0.25]], "has shape (1, 3)"),
        ([0.5, float("nan"), 0.5], "has 1 number(s) that are not finite"),
        ([1.5, -0.5, 0], "has a negative probability, -0.5"),
        ([6, 3, 1], "sums to 10"),
        ([0, 0, 0], "sums to 0"),
    ],
)
def test_what_is_no_distribution_is_an_error(prior: Any, wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_prior(prior, FILE)

    assert str(caught.value) == f"target_prior {wrong}. {DO}"


@pytest.mark.parametrize(
    ("prior", "wrong"),
    [
        ({"shirt": 0.5, "skirt": 0.25, "hat": 0.25}, "'hat' names no class of the file"),
        ({"shirt": 0.5, "skirt": 0.5}, "'dress' is not in it"),
    ],
)
def test_names_must_be_those_of_the_classes(prior: dict[str, float], wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_prior(prior, FILE)

    assert str(caught.value) == (
        f"target_prior: {wrong}. Expected a probability for each of its 3 classes. Compare with "
        f"class_names."
    )


def test_another_name_is_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        read_prior("natural", FILE)

    assert str(caught.value) == (
        "target_prior is 'natural'. Expected 'balanced', 'training', or probabilities. Give one "
        "of them."
    )


@pytest.mark.parametrize("prior", [["much", "little", "none"], [10**400, 0, 0]])
def test_what_is_no_number_is_an_error(prior: Any) -> None:
    with pytest.raises(ConfigError, match=r"^target_prior is not numeric \("):
        read_prior(prior, FILE)


def test_tau_is_a_number() -> None:
    found = read_tau(0.5)

    assert found.dtype == np.float32
    assert found.shape == ()
    assert float(found) == 0.5


@pytest.mark.parametrize(
    "tau", [float("nan"), float("inf"), "1", [1.0], None, 3.5e38, -1001, 10**400]
)
def test_any_other_tau_is_an_error(tau: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        read_tau(tau)

    assert str(caught.value) == (
        f"tau is {tau!r}. Expected a number from -1000 to 1000: 0 not to follow the target prior, "
        f"1 to follow it. Give such a number."
    )
