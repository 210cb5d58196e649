"""Puts the landmarks of DeepFashion's rows into the eight slots that all garments share."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fdmo_core import Visibility
from fdmo_plugins.datasets.annotated.items import landmark_faults
from fdmo_plugins.datasets.deepfashion.categories import LANDMARK_NAMES, SLOTS_OF_TYPE
from fdmo_plugins.datasets.deepfashion.images import Images
from fdmo_plugins.datasets.deepfashion.lists import ListFile

COLUMNS = "image_name clothes_type, maybe variation_type, then visibility x y, 6, 4 or 8 times"
TYPE_OF_COUNT = {len(slots): clothes_type for clothes_type, slots in SLOTS_OF_TYPE.items()}
WIDTHS = frozenset(
    num_extra + 3 * num_landmarks for num_landmarks in TYPE_OF_COUNT for num_extra in (1, 2)
)
"""Numbers in a row: the clothes type, in some benchmarks a variation type, and the landmarks."""

VISIBILITY = np.array(
    [Visibility.VISIBLE, Visibility.OCCLUDED, Visibility.TRUNCATED], dtype=np.float32
)
"""By DeepFashion's code, which counts the other way round than DeepFashion2's."""


def read_landmarks(
    file: ListFile, images: Images, boxes: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the landmarks of each image in their slots, absent where there are none.

    Args:
        file: The list, with ``COLUMNS`` and ``WIDTHS``.
        images: What it is matched to; takes the faults.
        boxes: Shape ``(N, 4)``.

    Returns:
        Shape ``(N, 8, 3)``, float32.
    """
    landmarks = np.zeros((len(images), len(LANDMARK_NAMES), 3), dtype=np.float32)
    lines = np.full(len(images), -1, dtype=np.int64)
    for rows, part in images.joined(file):
        lines[rows] = part.lines
        num_landmarks, num_extra = divmod(part.numbers.shape[1] - 1, 3)
        triples = part.numbers[:, 1 + num_extra :].reshape(len(rows), num_landmarks, 3)
        reasons = _code_faults(part.numbers[:, 0], triples[:, :, 0])
        images.note(file, lines, {int(rows[at]): reason for at, reason in reasons.items()})
        codes = np.clip(triples[:, :, 0], 0, len(VISIBILITY) - 1)
        slots = np.array(SLOTS_OF_TYPE[TYPE_OF_COUNT[num_landmarks]])
        landmarks[rows[:, None], slots, :2] = triples[:, :, 1:]
        landmarks[rows[:, None], slots, 2] = VISIBILITY[codes]
    ends = len(LANDMARK_NAMES) * np.arange(1, len(images) + 1)
    images.note(file, lines, landmark_faults(boxes, landmarks.reshape(-1, 3), ends))
    return landmarks


def _code_faults(types: NDArray[np.int64], codes: NDArray[np.int64]) -> Mapping[int, str]:
    """Return what is wrong with clothes types and visibilities, by row.

    Args:
        types: Shape ``(R,)``.
        codes: Shape ``(R, number of landmarks)``.
    """
    expected = TYPE_OF_COUNT[codes.shape[1]]
    is_good = (types == expected) & ((codes >= 0) & (codes < len(VISIBILITY))).all(axis=1)
    return {
        at: f"The clothes type is {types[at]} and the visibilities are "
        f"{', '.join(map(str, codes[at]))}. Expected type {expected} for {codes.shape[1]} "
        f"landmarks, and visibilities of 0, 1 or 2."
        for at in np.flatnonzero(~is_good).tolist()
    }
