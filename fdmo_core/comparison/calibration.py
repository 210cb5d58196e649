"""How far a classifier's confidence is from its accuracy."""

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 15


def expected_calibration_error(
    confidences: NDArray[np.floating], correct: NDArray[np.bool_], *, num_bins: int = NUM_BINS
) -> float:
    """Return the mean distance between confidence and accuracy over bins of confidence (ECE).

    Bin b of M holds the N_b samples with a confidence in ((b - 1) / M, b / M]. The error is the
    sum over b of ``N_b / N * |accuracy of b - mean confidence of b|``.

    Source: Naeini et al. 2015, in the form of Guo et al. 2017, with 15 bins.

    Args:
        confidences: Largest softmax probability of each sample, in (0, 1]. Shape ``(N,)``.
        correct: Whether the class of that probability is the true one. Shape ``(N,)``.
        num_bins: M.
    """
    bins = np.clip(np.ceil(confidences * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    gaps = np.bincount(bins, correct - confidences.astype(np.float64), minlength=num_bins)
    return float(np.abs(gaps).sum() / len(confidences))
