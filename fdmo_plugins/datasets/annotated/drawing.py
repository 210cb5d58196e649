"""What look-alikes of annotated data sets share: how many garments of a kind, and how they look."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fdmo_core import ConfigError
from fdmo_plugins.datasets.garments.drawing import Picture, draw_picture
from fdmo_plugins.datasets.garments.fabrics import FABRICS

LEAST_IMAGES = 12  # two classes, with something in each split
IMAGES_PER_CLASS = 8  # on average, for a tail that is long


class Look(NamedTuple):
    """How the garments of one category look.

    Attributes:
        cut: A key of :data:`~fdmo_plugins.datasets.garments.cuts.CUTS`.
        fabric: A key of :data:`~fdmo_plugins.datasets.garments.fabrics.FABRICS`.
        tint: How often the colour channels change places: 0, 1 or 2.
    """

    cut: str
    fabric: str
    tint: int

    def draw(self, rng: np.random.Generator, *, size: int) -> Picture:
        """Return a picture whose longer side has ``size`` pixels."""
        picture = draw_picture(rng, cut=self.cut, fabric=self.fabric, size=size)
        image = np.ascontiguousarray(np.roll(picture.image, self.tint, axis=2))
        return Picture(image, picture.box, picture.landmarks)


def looks(cuts: Sequence[str]) -> list[Look]:
    """Return all looks of some cuts, neighbours different in cut and fabric."""
    fabrics = list(FABRICS)
    return [
        Look(cuts[at % len(cuts)], fabrics[(at // len(cuts)) % len(fabrics)], tint)
        for tint in range(3)
        for at in range(len(cuts) * len(fabrics))
    ]


def tail_counts(num_images: int, counts: Sequence[int]) -> NDArray[np.int64]:
    """Return how many images of each category a look-alike has.

    With few images, only the most common categories have any. The counts fall exponentially in
    the order of the given ones; each class has at least two.

    Args:
        num_images: Of all categories.
        counts: Images per category in the set that is imitated; what has none stays empty.

    Raises:
        ConfigError: There are too few images.
    """
    if num_images < LEAST_IMAGES:
        raise ConfigError(
            f"The look-alike is asked to have {num_images} images. Expected at least "
            f"{LEAST_IMAGES}. Ask for more."
        )
    by_size = np.argsort(-np.array(counts), kind="stable")[: np.count_nonzero(counts)]
    num_classes = int(np.clip(num_images // IMAGES_PER_CLASS, 2, len(by_size)))
    shares = np.geomspace(50, 1, num_classes)
    edges = np.rint(np.cumsum(shares) / shares.sum() * (num_images - 2 * num_classes))
    drawn = np.zeros(len(counts), dtype=np.int64)
    drawn[by_size[:num_classes]] = 2 + np.diff(edges, prepend=0).astype(np.int64)
    return drawn
