"""Rows that show the same image: which contradict each other, and which must stay together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdmo_plugins.datasets import held_out
from fdmo_plugins.datasets.held_out import TEST, TRAIN, VAL
from fdmo_plugins.datasets.layout import SPLITS
from fdmo_plugins.datasets.table.rows import Rows


def contradictions(rows: Rows) -> dict[int, str]:
    """Return the rows that show one image in two splits or, with one box, under two labels."""
    labels = _differing(_item_keys(rows), rows.labels)
    splits = _differing(rows.path_keys, rows.splits)
    return {
        **{
            row: f"The image has the labels '{rows.label_names[one]}' and "
            f"'{rows.label_names[other]}'. Expected one."
            for row, one, other in labels
        },
        **{
            row: f"The image is in the splits {SPLITS[one]} and {SPLITS[other]}. Expected one."
            for row, one, other in splits
        },
    }


def _item_keys(rows: Rows) -> NDArray[np.int64]:
    """Return a hash of path and box of each row. Shape ``(N,)``, int64."""
    keys = rows.path_keys.view(np.uint64).copy()
    for side in range(rows.boxes.shape[1]):
        keys ^= rows.boxes[:, side].copy().view(np.uint32)
        keys *= np.uint64(0x9E3779B97F4A7C15)  # odd: keys that differ stay different
        keys ^= keys >> np.uint64(32)
    return keys.view(np.int64)


def _differing(
    keys: NDArray[np.int64], values: NDArray[np.signedinteger[Any]]
) -> list[tuple[int, int, int]]:
    """Return the rows of equal keys with two values, each with the smallest and the largest."""
    if not len(keys):
        return []
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=keys[order[0]] ^ 1))
    ordered = values[order]
    smallest = np.minimum.reduceat(ordered, starts)
    largest = np.maximum.reduceat(ordered, starts)
    ends = np.append(starts[1:], len(order))
    return sorted(
        (row, int(smallest[group]), int(largest[group]))
        for group in np.flatnonzero(smallest != largest).tolist()
        for row in order[starts[group] : ends[group]].tolist()
    )


def drawn_splits(rows: Rows, shares: dict[int, float], *, seed: int) -> NDArray[np.int8]:
    """Return the split of each row, where images of train were moved to the splits of ``shares``.

    Each class is drawn apart from the others. All rows of an image go where its first one goes.

    Args:
        rows: The table.
        shares: Share of each class by the index of the split, val or test.
        seed: Of the run.

    Returns:
        Shape ``(N,)``, int8.
    """
    splits = rows.splits.copy()
    candidates = np.flatnonzero(splits == TRAIN)
    _, firsts, images = np.unique(
        rows.path_keys[candidates], return_index=True, return_inverse=True
    )
    order = np.argsort(firsts)  # hashes differ between processes: the draw follows the rows
    of_image = np.empty(len(firsts), dtype=np.int8)
    of_image[order] = held_out.drawn_splits(
        rows.labels[candidates[firsts[order]]],
        rows.label_names,
        val_share=shares.get(VAL, 0.0),
        test_share=shares.get(TEST, 0.0),
        seed=seed,
        of="table",
    )
    splits[candidates] = of_image[images]
    return splits
