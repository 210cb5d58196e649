"""The samples of one split, read from their files when they are asked for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdmo_core import DataError, Sample
from fdmo_core.images import read_rgb
from fdmo_plugins.datasets.annotated.items import Items


@dataclass(frozen=True)
class AnnotatedSplit:
    """Garments with a box and landmarks, each the sample of its own.

    Attributes:
        root: Folder that the paths are relative to.
        items: What is known of the garments.
        num_landmarks: K.
        max_pixels: As in :func:`fdmo_core.images.read_rgb`.
    """

    root: Path
    items: Items
    num_landmarks: int
    max_pixels: int

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class of every sample. Shape ``(N,)``, int64."""
        return self.items.labels

    def __getitem__(self, index: int) -> Sample:
        """Read one image; errors as in :func:`fdmo_core.images.read_rgb`.

        Raises:
            DataError: The box lies outside the image.
        """
        at = range(len(self.items))[index]
        image = read_rgb(self.root / self.items.paths[at], max_pixels=self.max_pixels)
        left, top, right, bottom = self.items.boxes[at].tolist()
        height, width = image.shape[:2]
        if left >= width or top >= height:
            raise DataError(
                f"The box {left:g}, {top:g}, {right:g}, {bottom:g} of '{self.source(at)}' lies "
                f"outside its image of {width} x {height} pixels. Expected it inside. Correct the "
                f"annotation, or remove it with the image."
            )
        return Sample(
            image=image,
            label=int(self.items.labels[at]),
            box=(left, top, right, bottom),
            landmarks=self.items.landmarks(at, self.num_landmarks),
        )

    def source(self, index: int) -> str:
        """Return the path of the image below the root, and which of its items it is."""
        at = range(len(self.items))[index]
        number = int(self.items.numbers[at])
        return self.items.paths[at] + (f" item{number}" if number else "")
