"""A picture under construction, finer than it will be, in units without pixels."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from fdmo_plugins.datasets.garments.fabrics import Colour, Floats
from fdmo_plugins.datasets.garments.geometry import Points

SUPERSAMPLING = 2
"""Fine pixels per pixel and direction; more costs time and shows no difference at 48 pixels."""


class Canvas:
    """Takes polygons in units in which the picture's longer side is 1.

    Args:
        extent: Width and height of the picture; the larger is 1.
        size: The longer side of the finished picture in pixels.
    """

    def __init__(self, extent: tuple[float, float], *, size: int) -> None:
        self.scale = size * SUPERSAMPLING  # fine pixels per unit
        width, height = (SUPERSAMPLING * math.ceil(side * size) for side in extent)
        self._image = Image.new("RGB", (width, height))
        self._draw = ImageDraw.Draw(self._image)

    def fill(self, polygon: Points, colour: Colour) -> None:
        """Paint a polygon in one colour. Shape of the polygon ``(P, 2)``."""
        self._draw.polygon(self._fine(polygon), fill=_as_bytes(colour))

    def stroke(self, polygon: Points, colour: Colour, *, width: float) -> None:
        """Paint the edge of a polygon, in units of the picture but at least a fine pixel wide."""
        corners = self._fine(polygon)
        fine_width = max(1, round(width * self.scale))
        self._draw.line([*corners, corners[0]], fill=_as_bytes(colour), width=fine_width)

    def cover(self, polygons: list[Points], colours: Callable[[Floats, Floats], Floats]) -> None:
        """Paint polygons in colours that depend on the place.

        Args:
            polygons: Each of shape ``(P, 2)``.
            colours: Takes x and y in units of the picture, each of shape ``(H, W)``, and returns
                colours in [0, 1], of shape ``(H, W, 3)``.
        """
        corners = np.concatenate(polygons) * self.scale
        left, top = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int).tolist()
        limit = np.minimum(np.ceil(corners.max(axis=0)), self._image.size)
        width, height = (limit - [left, top]).astype(int).tolist()
        if width <= 0 or height <= 0:
            return
        mask = Image.new("L", (width, height))
        for polygon in polygons:
            ImageDraw.Draw(mask).polygon(self._fine(polygon, (left, top)), fill=255)
        rows, columns = np.mgrid[top : top + height, left : left + width].astype(np.float32)
        patch = colours((columns + 0.5) / self.scale, (rows + 0.5) / self.scale)
        image = Image.fromarray((np.clip(patch, 0.0, 1.0) * 255.0).astype(np.uint8))
        self._image.paste(image, (left, top), mask)

    def finish(self) -> Floats:
        """Return the picture at its final size, values in [0, 1]. Shape ``(H, W, 3)``."""
        return np.asarray(self._image.reduce(SUPERSAMPLING), dtype=np.float32) / 255.0

    def _fine(self, polygon: Points, origin: tuple[int, int] = (0, 0)) -> list[tuple[float, float]]:
        return [(x, y) for x, y in (polygon * self.scale - origin).tolist()]


def smooth_field(rng: np.random.Generator, *, cells: int, shape: tuple[int, ...]) -> Floats:
    """Return smooth noise with mean 0, the same at every resolution.

    Args:
        rng: Source of randomness.
        cells: How many independent values a side has.
        shape: Height and width.
    """
    coarse = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
    return np.asarray(coarse.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def _as_bytes(colour: Colour) -> tuple[int, ...]:
    return tuple((np.clip(colour, 0.0, 1.0) * 255.0).astype(int).tolist())
