"""Grey images of one size in memory, as a split."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fdmo_core import Sample


@dataclass(frozen=True)
class GreySplit:
    """Chosen images of a collection, held in memory.

    Attributes:
        images: Grey pixels. Shape ``(N, H, W)``, uint8.
        labels: Shape ``(N,)``, int64.
        indices: Where in the collection each image was. Shape ``(N,)``, int64.
        collection: Name of the file or set that the images are of.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]
    collection: str

    def take(self, positions: NDArray[np.int64]) -> "GreySplit":
        """Return the samples at these positions, a copy. Shape of positions ``(N,)``."""
        return GreySplit(
            self.images[positions], self.labels[positions], self.indices[positions], self.collection
        )

    def __getitem__(self, index: int) -> Sample:
        """Return one image, its grey repeated in the three channels."""
        rgb = np.repeat(self.images[index][:, :, np.newaxis], 3, axis=2)
        return Sample(rgb, int(self.labels[index]))

    def source(self, index: int) -> str:
        """Return the collection and the number of the image in it, from 0."""
        return f"{self.collection} {self.indices[index]}"
