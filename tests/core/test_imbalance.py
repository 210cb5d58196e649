from collections.abc import Callable

import pytest
import torch

from fdmo_core import ConfigError
from fdmo_core.imbalance import (
    GAMO_COUNTS,
    class_balanced_weights,
    exponential_counts,
    generation_probabilities,
    log_priors,
    majority_class,
    step_counts,
)


def test_probabilities_match_algorithm_1_written_as_a_loop() -> None:
    counts = list(GAMO_COUNTS)

    lacking = [max(counts) - count for count in counts]
    expected = [count / sum(lacking) for count in lacking]

    probabilities = generation_probabilities(torch.tensor(counts))
    assert probabilities.tolist() == pytest.approx(expected, rel=1e-6)
    assert probabilities.dtype == torch.float32


def test_every_largest_class_gets_no_artificial_features() -> None:
    probabilities = generation_probabilities(torch.tensor([7, 3, 7, 1]))

    assert probabilities.tolist() == pytest.approx([0.0, 0.4, 0.0, 0.6])


def test_equal_counts_leave_nothing_to_generate() -> None:
    with pytest.raises(ConfigError) as caught:
        generation_probabilities(torch.tensor([5, 5, 5]))

    assert str(caught.value) == (
        "All 3 classes have 5 training images. Expected at least one class with fewer images than "
        "another. Check that data.* names the long-tailed set that you meant; balanced classes "
        "need no oversampling, so choose a rebalancer that makes no artificial features."
    )


def test_the_first_of_several_largest_classes_is_the_majority() -> None:
    assert majority_class(torch.tensor([2, 9, 4, 9])) == 1


def test_exponential_counts_are_those_of_cifar10_lt() -> None:
    counts = exponential_counts(5000, 10, 100)

    assert counts == (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)
    assert sum(exponential_counts(500, 100, 100)) == 10_847  # CIFAR100-LT


def test_a_class_of_one_image_is_not_rounded_away() -> None:
    assert exponential_counts(49, 2, 49) == (49, 1)  # 49 * (1 / 49) is below 1 in floating point
    assert step_counts(49, 2, 49) == (49, 1)


def test_step_counts_halve_the_classes() -> None:
    assert step_counts(5000, 4, 100) == (5000, 5000, 50, 50)
    assert step_counts(60, 5, 8) == (60, 60, 7, 7, 7)


@pytest.mark.parametrize("counts", [exponential_counts, step_counts])
def test_a_ratio_of_one_is_balanced(counts: Callable[[int, int, float], tuple[int, ...]]) -> None:
    assert counts(30, 3, 1) == (30, 30, 30)


@pytest.mark.parametrize(
    ("largest", "num_classes", "ratio", "message"),
    [
        (10, 1, 5.0, "A profile for 1 class(es) was asked for. Expected at least 2"),
        (10, 3, 0.01, "The imbalance ratio is 0.01. Expected at least 1.* Use its inverse, 100."),
        (10, 3, -1.0, "The imbalance ratio is -1. Expected at least 1. Use 100, for instance."),
        (40, 3, 50.0, "leave the smallest class empty.* Use a ratio of at most 40, or a largest"),
    ],
)
def test_impossible_profiles_say_the_way_out(
    largest: int, num_classes: int, ratio: float, message: str
) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(").replace(")", r"\)")):
        exponential_counts(largest, num_classes, ratio)
    with pytest.raises(ConfigError):
        step_counts(largest, num_classes, ratio)


def test_log_priors_are_logarithms_of_shares() -> None:
    shares = log_priors(torch.tensor([6, 3, 1])).exp()

    assert torch.allclose(shares, torch.tensor([0.6, 0.3, 0.1]))


def test_a_class_without_images_is_favoured_no_more_than_the_largest() -> None:
    with_empty = log_priors(torch.tensor([6, 0, 3, 1]))

    assert with_empty[1] == with_empty[0]
    assert torch.equal(with_empty[[0, 2, 3]], log_priors(torch.tensor([6, 3, 1])))


@pytest.mark.parametrize(
    ("beta", "known"),
    [
        (0.999, [0.145, 0.165, 0.225, 0.270, 0.362, 0.482, 0.785, 1.495, 2.443, 3.629]),
        (0.9999, [0.047, None, None, None, None, None, None, None, None, 3.847]),
    ],
)
def test_class_balanced_weights_of_the_gamo_counts_are_the_known_ones(
    beta: float, known: list[float | None]
) -> None:
    weights = class_balanced_weights(torch.tensor(GAMO_COUNTS), beta).tolist()

    for weight, expected in zip(weights, known, strict=True):
        assert expected is None or weight == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.99, 0.999999])
def test_class_balanced_weights_match_the_formula_written_as_a_loop(beta: float) -> None:
    counts = [4000, 70, 3, 1]

    raw = [(1 - beta) / (1 - beta**count) for count in counts]
    expected = [len(counts) * one / sum(raw) for one in raw]

    weights = class_balanced_weights(torch.tensor(counts), beta)
    assert weights.tolist() == pytest.approx(expected, rel=1e-5)


def test_a_class_without_images_has_a_finite_weight_and_changes_no_other() -> None:
    with_empty = class_balanced_weights(torch.tensor([40, 0, 9, 2]), 0.99)

    assert with_empty[1] == with_empty[3]
    assert torch.equal(
        with_empty[[0, 2, 3]], class_balanced_weights(torch.tensor([40, 9, 2]), 0.99)
    )
