"""Two methods on the same test images, image by image: who is right where."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fdmo_core.comparison.probabilities import fair_coin_mid_p

Correct = NDArray[np.bool_]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Pair:
    """Which test images a method and the baseline recognise, a seed at a time.

    Attributes:
        ours: Of the method, for each of S seeds. Shapes ``(N,)``.
        theirs: Of the baseline; the same seeds and images.
        labels: Of the images. Shapes ``(N,)``.
        num_classes: C.
        same_images: Whether all seeds are tested on the very same images, so that an image is one
            unit of chance over all seeds. Otherwise each seed has images of its own.
    """

    ours: Sequence[Correct]
    theirs: Sequence[Correct]
    labels: Sequence[Labels]
    num_classes: int
    same_images: bool

    @property
    def num_seeds(self) -> int:
        """S."""
        return len(self.labels)

    def gains(self) -> tuple[NDArray[np.float64], Labels]:
        """Return what the method gains on each independent image, and the images' classes.

        The gain is 1 where only the method is right, -1 where only the baseline is, else 0; of an
        image that all seeds see, the mean over the seeds.
        """
        by_seed = [
            ours.astype(np.float64) - theirs
            for ours, theirs in zip(self.ours, self.theirs, strict=True)
        ]
        if self.same_images:
            return np.mean(by_seed, axis=0), self.labels[0]
        return np.concatenate(by_seed), np.concatenate(self.labels)


def mcnemar(pair: Pair) -> float:
    """Return the mid-p value of McNemar's test on the images of all seeds.

    An image that all seeds see counts once, for the method that is right on it with more seeds:
    to count it for each seed would take the seeds' agreement for evidence.

    Source: McNemar 1947; mid-p as Fagerland et al. 2013 recommend.

    Departs from McNemar: with several seeds this is the sign test of the images' mean gains, which
    is his test where there is one.
    """
    gains, _ = pair.gains()
    return fair_coin_mid_p(int((gains > 0).sum()), int((gains < 0).sum()))
