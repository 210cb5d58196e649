"""DeepFashion's eight landmarks: their order, which garment has which, what can be seen.

Source: Liu et al. 2016 (DeepFashion), Landmark Detection benchmark.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from fdmo_core.samples import Visibility
from fdmo_plugins.datasets.garments.geometry import Points, inside

LANDMARK_NAMES = (
    "left collar",
    "right collar",
    "left sleeve",
    "right sleeve",
    "left waist",
    "right waist",
    "left hem",
    "right hem",
)
"""Left is the left of the picture, as in DeepFashion's lists."""

MIRRORED_LANDMARKS = ((0, 1), (2, 3), (4, 5), (6, 7))


def in_slots(pairs: Mapping[str, tuple[Points, Points]]) -> Points:
    """Return the landmarks of a garment in their slots.

    Args:
        pairs: The left and the right point, each of shape ``(2,)``, by ``"collar"``,
            ``"sleeve"``, ``"waist"`` and ``"hem"``; without those that the garment lacks.

    Returns:
        NaN in the slots that the garment lacks. Shape ``(8, 2)``.
    """
    slots = np.full((len(LANDMARK_NAMES), 2), np.nan)
    for part, sides in pairs.items():
        for side, point in zip(("left", "right"), sides, strict=True):
            slots[LANDMARK_NAMES.index(f"{side} {part}")] = point
    return slots


def annotate(
    points: Points, *, extent: tuple[float, float], occluders: Iterable[Points]
) -> NDArray[np.float64]:
    """Return the landmarks with what can be seen of each.

    A landmark outside the picture keeps its place there; one that the garment lacks is at 0, 0.

    Args:
        points: As :func:`in_slots` returns them, in the units of the picture. Shape ``(8, 2)``.
        extent: Width and height of the picture.
        occluders: Polygons in front of the garment.

    Returns:
        x, y and a :class:`~fdmo_core.samples.Visibility`. Shape ``(8, 3)``.
    """
    hiding = list(occluders)
    annotated = np.zeros((len(points), 3))
    for slot, point in enumerate(points):
        if np.isnan(point).any():
            continue
        annotated[slot, :2] = point
        annotated[slot, 2] = _visibility(point, extent=extent, occluders=hiding)
    return annotated


def _visibility(
    point: Points, *, extent: tuple[float, float], occluders: list[Points]
) -> Visibility:
    if (point < 0).any() or (point >= extent).any():
        return Visibility.TRUNCATED
    if any(inside(polygon, point) for polygon in occluders):
        return Visibility.OCCLUDED
    return Visibility.VISIBLE
