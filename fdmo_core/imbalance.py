"""How long-tailed data is counted: profiles of class counts, and which class lacks how much."""

from torch import Tensor

from fdmo_core.errors import ConfigError

GAMO_COUNTS = (4000, 2000, 1000, 750, 500, 350, 200, 100, 60, 40)
"""Training images per class in the experiments of Mullick et al. 2019; the imbalance is 100."""


def majority_class(class_counts: Tensor) -> int:
    """Return the class with the most images, the first of them where several have as many.

    Args:
        class_counts: Training images per class. Shape ``(C,)``, int64.
    """
    return int(class_counts.argmax())


def generation_probabilities(class_counts: Tensor) -> Tensor:
    """Return how likely each class is to be the next one that a feature is generated for.

    Source: Algorithm 1, line 11: in proportion to ``N_max - N_c``, so the majority class gets 0.

    Args:
        class_counts: Training images per class. Shape ``(C,)``, int64.

    Returns:
        Probabilities that sum to 1. Shape ``(C,)``, float32.

    Raises:
        ConfigError: Every class has the same number of images.
    """
    lacking = (class_counts.max() - class_counts).float()  # (C,)
    if not lacking.any():
        raise ConfigError(
            f"All {len(class_counts)} classes have {int(class_counts[0])} training images. "
            f"Expected at least one class with fewer images than another. Check that data.* names "
            f"the long-tailed set that you meant; balanced classes need no oversampling, so "
            f"choose a rebalancer that makes no artificial features."
        )
    return lacking / lacking.sum()


def exponential_counts(largest: int, num_classes: int, ratio: float) -> tuple[int, ...]:
    """Return class counts that fall by a constant factor from class to class.

    Source: Cao et al. 2019 (LDAM-DRW), the "exp" profile, rounded down as in its code.

    Args:
        largest: Images of class 0.
        num_classes: C, at least 2.
        ratio: ``largest`` divided by the images of the last class, at least 1. Cao et al. state
            its inverse.

    Raises:
        ConfigError: A setting is out of range, or the last class would be empty.
    """
    _check_profile(largest, num_classes, ratio)
    last = num_classes - 1
    return tuple(int(largest / ratio ** (label / last)) for label in range(num_classes))


def step_counts(largest: int, num_classes: int, ratio: float) -> tuple[int, ...]:
    """Return class counts of two sizes: large for the first half of the classes, then small.

    Source: Cao et al. 2019 (LDAM-DRW), the "step" profile, rounded down as in its code. Of an odd
    number of classes the one in the middle is small.

    Args:
        largest: Images of each class in the first half.
        num_classes: C, at least 2.
        ratio: ``largest`` divided by the images of a class in the second half, at least 1.

    Raises:
        ConfigError: A setting is out of range, or the second half would be empty.
    """
    _check_profile(largest, num_classes, ratio)
    half = num_classes // 2
    return (largest,) * half + (int(largest / ratio),) * (num_classes - half)


def _check_profile(largest: int, num_classes: int, ratio: float) -> None:
    if num_classes < 2:
        raise ConfigError(
            f"A profile for {num_classes} class(es) was asked for. Expected at least 2: imbalance "
            f"is a relation between classes. Add a class."
        )
    if ratio < 1:
        raise ConfigError(
            f"The imbalance ratio is {ratio:g}. Expected at least 1: images of the largest class "
            f"per image of the smallest. Use its inverse, {1 / ratio:g}."
            if ratio > 0
            else f"The imbalance ratio is {ratio:g}. Expected at least 1. Use 100, for instance."
        )
    if largest < ratio:
        raise ConfigError(
            f"A largest class of {largest} images and an imbalance ratio of {ratio:g} leave the "
            f"smallest class empty. Expected at least 1 image in every class. Use a ratio of at "
            f"most {largest}, or a largest class of at least {ratio:g} images."
        )
