"""How uneven classes are."""

import math

import pytest
import torch

from fdmo_core.diagnosis.prior import describe_prior


def test_the_figures_are_those_of_the_counts() -> None:
    prior = describe_prior(torch.tensor([60, 30, 10]))

    shares = [0.6, 0.3, 0.1]
    assert prior.shares.tolist() == pytest.approx(shares)
    assert prior.imbalance_ratio == 6
    expected = math.exp(-sum(one * math.log(one) for one in shares))
    assert prior.effective_classes == pytest.approx(expected)


def test_effective_sizes_are_sums_of_powers() -> None:
    prior = describe_prior(torch.tensor([1, 2, 500]))

    expected = [sum(0.999**image for image in range(count)) for count in (1, 2, 500)]
    assert prior.effective_sizes.tolist() == pytest.approx(expected)


def test_equal_classes_count_in_full() -> None:
    prior = describe_prior(torch.tensor([7, 7, 7, 7]))

    assert prior.imbalance_ratio == 1
    assert prior.effective_classes == pytest.approx(4)


def test_a_class_without_images_is_named_and_left_out_of_the_ratio() -> None:
    prior = describe_prior(torch.tensor([8, 0, 2]))

    assert prior.empty_classes == (1,)
    assert prior.imbalance_ratio == 4
    assert prior.effective_sizes[1] == 0
