"""Draws a validation split from the training images of DeepFashion2, pair by pair."""

import numpy as np
from numpy.typing import NDArray

from fdmo_core.randomness import derive_seed
from fdmo_plugins.datasets.deepfashion2.categories import NAMES


def drawn_to_validate(
    labels: NDArray[np.int64], pair_ids: NDArray[np.int64], *, share: float, seed: int
) -> NDArray[np.bool_]:
    """Return which items validate: about the given share of each category.

    All items of all images of a pair go together, since they show the same garments. The rarest
    category draws first, and what comes along with it counts for the others. A pair stays in
    training if it would take any of its categories further from its share, or leave one without
    an item to train with.

    Args:
        labels: Shape ``(N,)``.
        pair_ids: Shape ``(N,)``.
        share: In [0, 1).
        seed: Of the run.

    Returns:
        Shape ``(N,)``.
    """
    pairs, of_item = np.unique(pair_ids, return_inverse=True)
    counts = np.zeros((len(pairs), len(NAMES)), dtype=np.int64)  # (pairs, categories)
    np.add.at(counts, (of_item, labels), 1)
    totals = counts.sum(axis=0)
    targets = np.floor(share * totals + 0.5).astype(np.int64)
    is_drawn = np.zeros(len(pairs), dtype=bool)
    drawn = np.zeros(len(NAMES), dtype=np.int64)
    for category in np.argsort(totals, kind="stable").tolist():
        rng = np.random.default_rng(derive_seed(seed, "deepfashion2", NAMES[category]))
        candidates = np.flatnonzero(counts[:, category] & ~is_drawn)
        for pair in rng.permutation(candidates).tolist():
            missing = targets - drawn
            if missing[category] <= 0:
                break
            own = counts[pair]
            is_nearer = (own < 2 * missing) | (own == 0)
            keeps_some = totals - drawn > own
            if (is_nearer & (keeps_some | (own == 0))).all():
                is_drawn[pair] = True
                drawn += own
    validates: NDArray[np.bool_] = is_drawn[of_item]
    return validates
