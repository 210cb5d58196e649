"""Polygons in a plane, from which every picture is put together."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]
"""x and y of points, y downwards. Shape ``(P, 2)``."""


def ribbon(line: ArrayLike, half_widths: ArrayLike) -> Points:
    """Return the outline of a band along a line, such as a sleeve along an arm.

    Args:
        line: Points of the line's middle, at least two. Shape ``(P, 2)``.
        half_widths: Half of the band's width at each point. Shape ``(P,)``.

    Returns:
        Down one side and back up the other; entries ``P - 1`` and ``P`` are the corners of the
        far end. Shape ``(2 P, 2)``.
    """
    middle = np.asarray(line, dtype=np.float64)
    direction = np.gradient(middle, axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    offset = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    offset *= np.asarray(half_widths, dtype=np.float64)[:, None]
    return np.concatenate([middle + offset, (middle - offset)[::-1]])


def ellipse(centre: ArrayLike, radii: ArrayLike, *, corners: int = 16) -> Points:
    """Return an ellipse as a polygon. Shape ``(corners, 2)``."""
    angles = np.linspace(0.0, 2.0 * np.pi, corners, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    polygon: Points = np.asarray(centre) + np.asarray(radii) * circle
    return polygon


def along(line: Points, share: float) -> Points:
    """Return a line cut off after the given share of its length.

    Args:
        line: Shape ``(P, 2)``.
        share: In (0, 1].

    Returns:
        The points before the cut, and the cut. Shape ``(Q, 2)`` with ``2 <= Q <= P``.
    """
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    reached = np.concatenate([[0.0], np.cumsum(steps)])
    length = share * reached[-1]
    end = [np.interp(length, reached, line[:, axis]) for axis in (0, 1)]
    return np.concatenate([line[reached < length], [end]])


def inside(polygon: Points, point: Points) -> bool:
    """Return whether a point lies in a polygon, by the even-odd rule.

    Source: Shimrat 1962.

    Args:
        polygon: Corners in order. Shape ``(P, 2)``.
        point: Shape ``(2,)``.
    """
    start, end = polygon, np.roll(polygon, -1, axis=0)
    straddles = (start[:, 1] > point[1]) != (end[:, 1] > point[1])
    start, end = start[straddles], end[straddles]
    slope = (end[:, 0] - start[:, 0]) / (end[:, 1] - start[:, 1])
    crossings = start[:, 0] + (point[1] - start[:, 1]) * slope
    return bool(np.count_nonzero(crossings > point[0]) % 2)
